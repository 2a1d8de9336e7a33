import { describe, expect, it } from '@jest/globals';
import { architectureNamed } from '../../src/archs/index.ts';
import { checkModel, type Model, splitModel } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { parseModel } from '../helpers/parse.ts';

async function run(model: Model, feeds: Feeds): Promise<Feeds> {
  const session = await loadModel(model);
  const own = new Map(
    [...feeds].filter(([name]) => model.graph.inputs.some((i) => i.name === name)),
  );
  const outputs = await session.run(own);
  await session.dispose();
  return outputs;
}

const names = ({ graph }: Model) => graph.inputs.map(({ name }) => name);

describe('a model cut in two', () => {
  it('computes what the whole computes, and the encoder once', async () => {
    const sizes = { hidden: [16], layers: 2, heads: 2, seq: 8, vocab: 20 };
    const whole = architectureNamed('transformer').build(sizes, 0);
    inferTypes(whole);
    const halves = splitModel(whole, new Set(['decoder_input_ids']));
    if (!halves) throw new Error('it can be cut');
    const { first, second } = halves;
    expect(names(first)).toEqual(['input_ids', 'attention_mask']);
    const cuts = first.graph.outputs.map(({ name }) => name);
    // The mask, and keys and values of each layer: nothing else of the source is left to compute.
    expect(cuts).toHaveLength(5);
    expect(names(second).sort()).toEqual(['decoder_input_ids', ...cuts].sort());
    for (const half of [first, second]) expect(checkModel(half)).toEqual([]);
    const ids = (...values: number[]) => Tensor.of('int64', [2, values.length / 2], values);
    const feeds = new Map([
      ['input_ids', ids(3, 4, 5, 6, 7, 0)],
      ['attention_mask', ids(1, 1, 1, 1, 1, 0)],
      ['decoder_input_ids', ids(1, 8, 9, 2, 1, 7, 7, 3)],
    ]);
    const expected = (await run(whole, feeds)).get('logits')?.numbers() ?? [];
    const read = await run(first, feeds);
    const found = (await run(second, new Map([...feeds, ...read]))).get('logits')?.numbers() ?? [];
    expect(found).toHaveLength(expected.length);
    found.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 5);
    });
  });

  it('cuts where there is a row per sample, and keeps the rest', () => {
    const model = parseModel(`
g (float[batch, n] a, float[batch, n] b) => (float[batch, n] y)
<int64[1] one = {1}>
{
  s = Abs(a)
  t = Transpose<perm = [1, 0]>(s)
  size = Shape(s)
  u = Transpose<perm = [1, 0]>(t)
  wide = Reshape(b, size)
  y = Add(u, wide)
}`);
    inferTypes(model);
    const halves = splitModel(model, new Set(['b']));
    expect(halves?.first.graph.outputs.map(({ name }) => name)).toEqual(['s', 'u']);
    expect([...(halves?.second.graph.nodes ?? [])].map(({ op }) => op)).toEqual([
      'Shape',
      'Reshape',
      'Add',
    ]);
  });

  it('is left whole where nothing can be cut', () => {
    const model = parseModel(`
g (float[batch, n] a, float[batch, n] b) => (float[batch, n] y)
{
  y = Add(a, b)
}`);
    inferTypes(model);
    expect(splitModel(model, new Set(['b']))).toBeUndefined();
  });
});
