// Nothing is lost: fields xform does not know, spellings, orders and odd but legal forms survive, in
// messages that are copied and in messages that are changed.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { attr, type Model, symbol, tensorType } from '../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../src/onnx/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { rename } from './rename.ts';
import { messageOf, schema, scrambled } from './schema.ts';

const entry = (key: string, value: string) => ({ key, value });
const tensorInfo = (name: string, dim: object[], more: object = {}) => ({
  name,
  type: { tensor_type: { elem_type: 1, shape: { dim } }, denotation: 'IMAGE' },
  doc_string: `about ${name}`,
  ...more,
});

/** A model with every field that the specification has, some of them empty. */
const EVERYTHING = {
  ir_version: 10,
  producer_name: '',
  producer_version: '1',
  domain: 'org.example',
  model_version: '9007199254740993',
  doc_string: '',
  graph: {
    node: [
      {
        input: ['x', '', 'w', ''],
        output: ['h', ''],
        name: '',
        op_type: 'Custom',
        domain: 'ai.onnx',
        overload: 'o',
        doc_string: 'why',
        metadata_props: [entry('a', 'b')],
        device_configurations: [
          {
            configuration_id: 'c',
            sharding_spec: [{ tensor_name: 'h', device: [0, 1] }],
            pipeline_stage: 2,
          },
        ],
        attribute: [
          { name: 'f', type: 1, f: Number.NaN, doc_string: 'not a number' },
          { name: 'i', type: 2, i: '-9223372036854775808' },
          { name: 's', type: 3, s: Buffer.from([0xff, 0x00]) },
          { name: 'fs', type: 6, floats: [] },
          { name: 'is', type: 7, ints: ['9223372036854775807', -1] },
          { name: 'ss', type: 8, strings: [Buffer.from('a'), Buffer.from('')] },
          { name: 't', type: 4, t: { dims: [2], data_type: 16, int32_data: [16256, 1] } },
          { name: 'tp', type: 13, tp: { sequence_type: { elem_type: { opaque_type: {} } } } },
          { name: 'sp', type: 11, sparse_tensor: { dims: [3] } },
          { name: 'new', type: 99, $raw: 1 },
          { name: 'untyped', i: 3 },
        ],
      },
      {
        input: ['c'],
        output: ['y'],
        op_type: 'If',
        attribute: [
          {
            name: 'then_branch',
            type: 5,
            doc_string: 'then',
            g: {
              name: 'then',
              doc_string: 'inner',
              node: [{ input: ['h', 'inner'], output: ['r'], op_type: 'Add' }],
              initializer: [{ dims: [], data_type: 1, name: 'inner', float_data: [1] }],
              output: [tensorInfo('r', [])],
              metadata_props: [entry('k', '')],
            },
          },
        ],
      },
    ],
    name: 'main',
    initializer: [
      {
        dims: [2, 2],
        data_type: 1,
        name: 'w',
        float_data: [1, 2, 3, 4],
        doc_string: 'weights',
        segment: { begin: 0, end: 4 },
        metadata_props: [entry('m', 'n')],
      },
      { dims: [1], data_type: 77, name: 'future', raw_data: Buffer.from([1, 2]) },
      { dims: [0], data_type: 7, name: 'empty' },
      {
        dims: [2],
        data_type: 8,
        name: 'texts',
        string_data: [Buffer.from([0xc3]), Buffer.from('')],
      },
    ],
    doc_string: 'graph',
    input: [
      tensorInfo('x', [{ dim_param: 'batch*2' }, { denotation: 'C' }, { dim_value: 3 }]),
      tensorInfo('w', [{ dim_value: 2 }, { dim_value: 2 }]),
      { name: 'c' },
      { name: 'map', type: { map_type: { key_type: 8, value_type: { tensor_type: {} } } } },
      { name: 'opt', type: { optional_type: { elem_type: { tensor_type: { elem_type: 1 } } } } },
    ],
    output: [tensorInfo('y', [{}]), tensorInfo('h', [{ dim_param: '' }])],
    value_info: [
      tensorInfo('nowhere', [{ dim_value: -1 }]),
      tensorInfo('h', [{ dim_param: '12 * heads' }], { metadata_props: [entry('q', 'r')] }),
      tensorInfo('h', []),
    ],
    quantization_annotation: [
      { tensor_name: 'h', quant_parameter_tensor_names: [entry('SCALE_TENSOR', 'w')] },
    ],
    sparse_initializer: [
      {
        values: { dims: [1], data_type: 1, float_data: [5], name: 'sparse' },
        indices: { dims: [1], data_type: 7, int64_data: [1] },
        dims: [4],
      },
    ],
    metadata_props: [entry('z', '1'), entry('a', '2')],
  },
  opset_import: [
    { domain: 'ai.onnx', version: 20 },
    { domain: 'com.example', version: 1 },
    { domain: '', version: 20 },
  ],
  metadata_props: [entry('k', 'v'), entry('k', 'again'), entry('', '')],
  training_info: [{ algorithm: { name: 'step' }, update_binding: [entry('w', 'w2')] }],
  functions: [
    {
      name: 'Twice',
      domain: 'com.example',
      overload: 'float',
      input: ['a', 'b'],
      output: ['r'],
      attribute: ['alpha'],
      attribute_proto: [{ name: 'beta', type: 1, f: 0.5 }],
      node: [
        {
          input: ['a', 'a'],
          output: ['r'],
          op_type: 'Add',
          attribute: [{ name: 'alpha', type: 1, ref_attr_name: 'alpha' }],
        },
      ],
      doc_string: 'doubles',
      opset_import: [{ domain: '', version: 19 }],
      value_info: [tensorInfo('r', [])],
      metadata_props: [entry('f', 'g')],
    },
  ],
  configuration: [{ name: 'two', num_devices: 2, device: ['a', 'b'] }],
};

function encode(message: object): Uint8Array {
  const type = schema.lookupType('onnx.ModelProto');
  return type.encode(type.fromObject(message)).finish();
}

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
