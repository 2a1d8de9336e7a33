// Operators that move, cut, join and reduce, chained at random over symbolic sizes: the shapes that
// follow are those of onnxruntime, for several sizes of the same symbols.

import { describe, expect, it } from '@jest/globals';
import type { Dim, Value } from '../../src/graph/index.ts';
import { compareWithRuntime, type Recipe, type Workshop } from './random-graph.ts';

const SIZES = [
  { a: 2, b: 3 },
  { a: 1, b: 5 },
  { a: 6, b: 4 },
];

const TO_THE_END = 2 ** 40;
const MAX_RANK = 5;

const rankOf = (value: Value): number => value.shape?.length ?? 0;
const fixedAxes = (value: Value): number[] =>
  (value.shape ?? []).flatMap((dim, i) => (typeof dim === 'number' && dim > 0 ? [i] : []));

type Step = (shop: Workshop, x: Value) => Value | readonly Value[] | undefined;

const axisOf = (shop: Workshop, x: Value) => shop.between(-rankOf(x), rankOf(x) - 1);

const slice: Step = (shop, x) => {
  const axes = Array.from({ length: shop.between(1, rankOf(x)) }, (_, i) => i);
  const steps = axes.map(() => shop.pick([1, 1, 1, 2, 3, -1]));
  // Something is left: what has no elements cannot be divided among axes later on.
  const starts = steps.map((step) => (step > 0 ? 0 : -1));
  const ends = steps.map((step) => (step > 0 ? shop.pick([1, 2, 5, TO_THE_END]) : -TO_THE_END));
  const bounds = [starts, ends, axes, steps].map((values) => shop.list(...values));
  return shop.g.op('Slice', [x, ...bounds]);
};

/** Anything cut out, perhaps to nothing: compared, but not built upon. */
const cut: Step = (shop, x) => {
  const axis = axisOf(shop, x);
  const end = shop.pick([shop.between(-4, 6), TO_THE_END, -TO_THE_END]);
  const step = shop.pick([1, 2, 3, -1, -2]);
  const bounds = [shop.between(-4, 6), end, axis, step].map((value) => shop.list(value));
  shop.g.op('Slice', [x, ...bounds]);
  return undefined;
};

const transpose: Step = (shop, x) =>
  shop.g.op('Transpose', [x], { perm: shop.random.permutation(rankOf(x)) });

const concat: Step = (shop, x) => shop.g.op('Concat', [x, x], { axis: axisOf(shop, x) });

const pad: Step = (shop, x) =>
  shop.g.op('Pad', [
    x,
    shop.list(...Array.from({ length: 2 * rankOf(x) }, () => shop.between(0, 2))),
  ]);

const tile: Step = (shop, x) =>
  shop.g.op('Tile', [x, shop.list(...Array.from({ length: rankOf(x) }, () => shop.between(1, 2)))]);

const unsqueeze: Step = (shop, x) =>
  rankOf(x) < MAX_RANK
    ? shop.g.op('Unsqueeze', [x, shop.list(shop.between(-rankOf(x) - 1, rankOf(x)))])
    : undefined;

const squeeze: Step = (shop, x) => {
  const ones = fixedAxes(x).filter((axis) => x.shape?.[axis] === 1);
  return ones.length > 0 ? shop.g.op('Squeeze', [x, shop.list(shop.pick(ones))]) : undefined;
};

const split: Step = (shop, x) => {
  const axis = axisOf(shop, x);
  const size = x.shape?.at(axis) as Dim;
  const doubled = shop.g.op('Concat', [x, x], { axis });
  if (typeof size === 'number' && size > 1 && shop.random.integer(2)) {
    return shop.g.ops('Split', [x, shop.list(1, size - 1)], 2, { axis });
  }
  return shop.g.ops('Split', [doubled], 2, { axis, num_outputs: 2 });
};

const gather: Step = (shop, x) => {
  const [axis] = fixedAxes(x).slice(-1);
  if (axis === undefined) return undefined;
  const size = x.shape?.[axis] as number;
  const index = () => shop.between(-size, size - 1);
  const indices = shop.random.integer(2) ? shop.scalar(index()) : shop.list(index(), index());
  return shop.g.op('Gather', [x, indices], { axis });
};

const REDUCTIONS = ['ReduceMean', 'ReduceL2', 'ReduceMax', 'ReduceLogSumExp'];

const reduce: Step = (shop, x) =>
  shop.g.op(shop.pick(REDUCTIONS), [x, shop.list(axisOf(shop, x))], {
    keepdims: shop.random.integer(2),
  });

const pick: Step = (shop, x) =>
  shop.g.op(shop.pick(['ArgMax', 'ArgMin']), [x], {
    axis: axisOf(shop, x),
    keepdims: shop.random.integer(2),
  });

const flatten: Step = (shop, x) =>
  shop.g.op('Flatten', [x], { axis: shop.between(-rankOf(x), rankOf(x)) });

/** Every axis from its own size, one of them left to be found out; or two merged. */
const reshape: Step = (shop, x) => {
  const shape = shop.g.op('Shape', [x]);
  const open = shop.between(0, rankOf(x) - 1);
  const parts = Array.from({ length: rankOf(x) }, (_, i) => {
    if (i === open) return shop.list(-1);
    const isCopied = shop.random.integer(2) === 0;
    return isCopied ? shop.list(0) : shop.g.op('Gather', [shape, shop.list(i)]);
  });
  const isMerged = shop.random.integer(2) === 0 && open + 1 < parts.length;
  // Behind a merged axis a 0 would copy the size of another one.
  const kept = parts.flatMap((part, i) => {
    if (!isMerged || i <= open) return [part];
    return i === open + 1 ? [] : [shop.g.op('Gather', [shape, shop.list(i)])];
  });
  return shop.g.op('Reshape', [x, shop.g.op('Concat', kept, { axis: 0 })]);
};

/** The last axis in heads, as attention does: [.., n] to [.., n / 2, 2]. */
const heads: Step = (shop, x) => {
  const last = x.shape?.at(-1);
  if (rankOf(x) >= MAX_RANK || typeof last !== 'number' || last % 2 > 0 || last === 0)
    return undefined;
  const zeros = new Array<number>(rankOf(x) - 1).fill(0);
  return shop.g.op('Reshape', [x, shop.list(...zeros, last / 2, 2)]);
};

const expand: Step = (shop, x) => {
  const one = shop.g.op('ReduceMax', [x, shop.list(axisOf(shop, x))], { keepdims: 1 });
  return shop.g.op('Expand', [one, shop.g.op('Shape', [x])]);
};

const broadcast: Step = (shop, x) => {
  const one = shop.g.op('ReduceMax', [x, shop.list(axisOf(shop, x))], { keepdims: 1 });
  return shop.g.op(shop.pick(['Add', 'Mul', 'Max']), shop.random.integer(2) ? [x, one] : [one, x]);
};

const multiply: Step = (shop, x) => {
  if (rankOf(x) < 2) return shop.g.op('MatMul', [x, x]);
  const perm = Array.from({ length: rankOf(x) }, (_, i) => i);
  const turned = shop.g.op('Transpose', [x], {
    perm: [...perm.slice(0, -2), rankOf(x) - 1, rankOf(x) - 2],
  });
  return shop.g.op('MatMul', [x, turned]);
};

const fill: Step = (shop, x) => shop.g.op('ConstantOfShape', [shop.g.op('Shape', [x])]);

const top: Step = (shop, x) => shop.g.ops('TopK', [x, shop.list(1)], 2, { axis: axisOf(shop, x) });

const hot: Step = (shop, x) => {
  if (rankOf(x) < 2) return undefined;
  const most = shop.g.op('ArgMax', [x], { axis: axisOf(shop, x), keepdims: 0 });
  const values = shop.g.op('Cast', [shop.list(0, 1)], { to: 1 });
  return shop.g.op('OneHot', [most, shop.scalar(shop.between(2, 5)), values], { axis: -1 });
};

const STEPS: readonly Step[] = [
  ...[
    slice,
    slice,
    cut,
    cut,
    cut,
    transpose,
    concat,
    pad,
    tile,
    unsqueeze,
    unsqueeze,
    squeeze,
    split,
    gather,
  ],
  ...[reduce, pick, flatten, reshape, reshape, heads, expand, broadcast, multiply, fill, top],
  hot,
];

/** Small enough to run, and to read. */
function keep(shop: Workshop, value: Value): void {
  const rank = rankOf(value);
  const isPlain = (value.shape ?? []).every((dim) => String(dim).length < 24);
  if (value.dtype === 'float32' && rank > 0 && rank <= MAX_RANK && isPlain) shop.values.push(value);
}

const recipe: Recipe = {
  inputs: { x: ['a', 'b', 6], y: ['b', 4] },
  steps: 14,
  start: (shop, inputs) => shop.values.push(...inputs),
  step(shop) {
    const made = shop.pick(STEPS)(shop, shop.pick(shop.values));
    const all = made === undefined ? [] : 'name' in made ? [made] : made;
    for (const value of all) keep(shop, value);
  },
};

describe('operators that move, cut and join', () => {
  it('have the shapes that onnxruntime sees', async () => {
    const differences: string[] = [];
    let sizes = 0;
    for (let seed = 0; seed < 250; seed++) {
      const result = await compareWithRuntime(recipe, seed, SIZES);
      for (const text of result.differences) differences.push(`seed ${seed}: ${text}`);
      sizes += result.sizes;
    }
    process.stdout.write(`${sizes} sizes compared\n`);
    expect(differences).toEqual([]);
    expect(sizes).toBeGreaterThan(10_000);
  });
});
