// Nothing is lost: fields xform does not know, spellings, orders and odd but legal forms survive, in
// messages that are copied and in messages that are changed.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { attr, type Model, symbol, tensorType } from '../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../src/onnx/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { EVERYTHING, encode, entry } from './everything.ts';
import { rename } from './rename.ts';
import { messageOf, scrambled } from './schema.ts';

async function rewritten(bytes: Uint8Array, change: (model: Model) => void): Promise<Uint8Array> {
  const model = decodeModel(bytes);
  change(model);
  return encodeModel(model);
}

describe('a model with every field there is', () => {
  const bytes = encode(EVERYTHING);

  it('comes out as it was', async () => {
    expect(Buffer.from(await rewritten(bytes, () => {}))).toEqual(Buffer.from(bytes));
  });

  it('comes out as it was after a clone', async () => {
    const copy = await encodeModel(decodeModel(bytes).clone());
    expect(Buffer.from(copy)).toEqual(Buffer.from(bytes));
  });

  it('differs only in what was changed', async () => {
    const after = await rewritten(bytes, (model) => {
      const [custom, branch] = model.graph.nodes;
      if (custom) custom.name = 'named';
      custom?.setAttr('i', attr.int(7n));
      custom?.setAttr('ss', undefined);
      const body = branch?.subgraph('then_branch');
      if (body) body.name = 'other';
      model.opsets.set('', 21);
      model.opsets.delete('com.example');
      model.opsets.set('com.new', 3);
      model.metadata.set('new', 'entry');
      model.producerName = 'xform';
      const w = model.graph.inputs[1];
      if (w) w.data = Tensor.of('float32', [2, 2], [5, 6, 7, 8]);
      const h = [...model.graph.declared].find((value) => value.name === 'h');
      if (h) h.type = tensorType('float16', [symbol('heads'), 3]);
    });
    const expected = structuredClone(EVERYTHING) as never as Record<string, never>;
    const wanted = messageOf(encode(expected));
    const seen = messageOf(after);
    const graph = wanted['graph'] as Record<string, Record<string, unknown>[]>;
    const nodes = graph['node'] as Record<string, unknown>[];
    Object.assign(nodes[0] as object, { name: 'named' });
    const attributes = (nodes[0]?.['attribute'] ?? []) as Record<string, unknown>[];
    Object.assign(attributes[1] as object, { i: '7' });
    attributes.splice(5, 1);
    const inner = (nodes[1]?.['attribute'] ?? []) as Record<string, Record<string, unknown>>[];
    Object.assign(inner[0]?.['g'] as object, { name: 'other' });
    const weights = Float32Array.of(5, 6, 7, 8);
    (graph['initializer'] as object[])[0] = {
      dims: ['2', '2'],
      data_type: 1,
      name: 'w',
      raw_data: Buffer.from(weights.buffer).toString('base64'),
    };
    const type = {
      tensor_type: {
        elem_type: 10,
        shape: { dim: [{ dim_param: 'heads' }, { dim_value: '3' }] },
      },
      denotation: 'IMAGE',
    };
    Object.assign(graph['value_info']?.[1] as object, { type });
    Object.assign(graph['output']?.[1] as object, { type });
    Object.assign(wanted, {
      producer_name: 'xform',
      opset_import: [
        { domain: 'ai.onnx', version: '21' },
        { domain: '', version: '21' },
        { domain: 'com.new', version: '3' },
      ],
      metadata_props: [...(wanted['metadata_props'] as object[]), entry('new', 'entry')],
    });
    expect(seen).toEqual(wanted);
  });
});

/** EVERYTHING in any order, with fields from nowhere at every level. */
function scrambledModel(seed: number): Uint8Array {
  const random = new Random(seed, 'scrambled');
  return scrambled(encode(EVERYTHING), 'ModelProto', (below) => random.integer(below));
}

describe('unknown fields and unusual orders', () => {
  it('survive copying', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const bytes = scrambledModel(seed);
        expect(messageOf(await rewritten(bytes, () => {}))).toEqual(messageOf(bytes));
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  it('survive writing anew', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const bytes = scrambledModel(seed);
        const there = await rewritten(bytes, (model) => rename(model, (name) => `${name} renamed`));
        expect(messageOf(there)).not.toEqual(messageOf(bytes));
        const back = await rewritten(there, (model) => rename(model, (name) => name.slice(0, -8)));
        expect(messageOf(back)).toEqual(messageOf(bytes));
      }),
      { seed: 2, numRuns: 100 },
    );
  });
});
