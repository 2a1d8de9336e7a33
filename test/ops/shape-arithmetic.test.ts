// Sizes on their way from Shape to Reshape: passes put constants in the place of what is known, so it
// must be what onnxruntime computes, to the last element, whatever the sizes are.

import { describe, expect, it } from '@jest/globals';
import type { Value } from '../../src/graph/index.ts';
import { compareWithRuntime, type Recipe, type Workshop } from './random-graph.ts';

const SIZES = [
  { a: 2, b: 3, c: 5 },
  { a: 1, b: 1, c: 1 },
  { a: 7, b: 4, c: 9 },
];

const MAX_LENGTH = 8;
const TO_THE_END = 2 ** 40;

const lengthOf = (value: Value): number => (value.shape?.[0] as number | undefined) ?? 1;
const isVector = (value: Value): boolean => value.shape?.length === 1;

/** What steps may read: short integer lists and scalars, and truths. */
function keep(shop: Workshop, value: Value): void {
  const { shape, dtype } = value;
  const isShort = shape?.every((dim) => typeof dim === 'number' && dim <= MAX_LENGTH);
  const isKept = dtype === 'int64' || dtype === 'bool';
  if (isKept && shape && shape.length <= 1 && isShort) shop.values.push(value);
}

const ints = (shop: Workshop) => shop.values.filter(({ dtype }) => dtype === 'int64');
const bools = (shop: Workshop) => shop.values.filter(({ dtype }) => dtype === 'bool');
const vectors = (shop: Workshop) => ints(shop).filter((v) => isVector(v) && lengthOf(v) > 0);

const fits = (a: Value, b: Value) =>
  lengthOf(a) === 1 || lengthOf(b) === 1 || lengthOf(a) === lengthOf(b);

function pair(shop: Workshop, from: readonly Value[]): [Value, Value] {
  const a = shop.pick(from);
  return [a, shop.pick(from.filter((b) => fits(a, b)))];
}

type Step = (shop: Workshop) => Value | readonly Value[] | undefined;

const binary: Step = (shop) =>
  shop.g.op(shop.pick(['Add', 'Sub', 'Mul', 'Min', 'Max']), pair(shop, ints(shop)));

const divide: Step = (shop) => {
  const by = shop.scalar(shop.pick([1, 2, 3, 4, -2, -3]));
  return shop.g.op('Div', [shop.pick(ints(shop)), by]);
};

const remainder: Step = (shop) => {
  const by = shop.scalar(shop.pick([2, 3, 5, -3]));
  return shop.g.op('Mod', [shop.pick(ints(shop)), by], { fmod: shop.random.integer(2) });
};

const unary: Step = (shop) =>
  shop.g.op(shop.pick(['Neg', 'Abs', 'Sign', 'Identity']), [shop.pick(ints(shop))]);

const COMPARISONS = ['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'];

const comparison: Step = (shop) => shop.g.op(shop.pick(COMPARISONS), pair(shop, ints(shop)));

const logic: Step = (shop) => {
  const truths = bools(shop);
  if (truths.length === 0) return undefined;
  if (shop.random.integer(3) === 0) return shop.g.op('Not', [shop.pick(truths)]);
  return shop.g.op(shop.pick(['And', 'Or', 'Xor']), pair(shop, truths));
};

const where: Step = (shop) => {
  const [a, b] = pair(shop, ints(shop));
  const truths = bools(shop).filter((c) => fits(c, a) && fits(c, b));
  return truths.length > 0 ? shop.g.op('Where', [shop.pick(truths), a, b]) : undefined;
};

const gather: Step = (shop) => {
  const list = shop.pick(vectors(shop));
  const index = () => shop.between(-lengthOf(list), lengthOf(list) - 1);
  const indices = shop.random.integer(2) ? shop.scalar(index()) : shop.list(index(), index());
  return shop.g.op('Gather', [list, indices]);
};

const concat: Step = (shop) => {
  const [a, b] = [shop.pick(vectors(shop)), shop.pick(vectors(shop))];
  return shop.g.op('Concat', [a, b], { axis: 0 });
};

const slice: Step = (shop) => {
  const end = shop.pick([shop.between(-4, 4), TO_THE_END, -TO_THE_END]);
  const [start, axis, step] = [shop.between(-4, 4), shop.pick([0, -1]), shop.pick([1, 2, -1, -2])];
  const bounds = [start, end, axis, step].map((value) => shop.list(value));
  return shop.g.op('Slice', [shop.pick(vectors(shop)), ...bounds]);
};

const split: Step = (shop) => {
  const list = shop.pick(vectors(shop));
  if (lengthOf(list) < 2) return undefined;
  return shop.g.ops('Split', [list, shop.list(1, lengthOf(list) - 1)], 2, { axis: 0 });
};

const squeeze: Step = (shop) => {
  const single = ints(shop).filter((v) => lengthOf(v) === 1);
  if (single.length === 0) return undefined;
  const value = shop.pick(single);
  return shop.g.op(isVector(value) ? 'Squeeze' : 'Unsqueeze', [value, shop.list(0)]);
};

const reduce: Step = (shop) => {
  const op = shop.pick(['ReduceProd', 'ReduceSum', 'ReduceMax', 'ReduceMin']);
  const list = shop.pick(vectors(shop));
  const axes = op === 'ReduceSum' && shop.random.integer(2) ? [shop.list(0)] : [];
  return shop.g.op(op, [list, ...axes], { keepdims: shop.random.integer(2) });
};

const WHOLE = 7;

/** There and back: to int32, float32, float64 or bool. */
const detour: Step = (shop) => {
  const there = shop.g.op('Cast', [shop.pick(ints(shop))], { to: shop.pick([6, 1, 11, 9]) });
  return shop.g.op('Cast', [there], { to: WHOLE });
};

/** As exporters scale sizes. */
const scale: Step = (shop) => {
  const size = shop.g.op('Cast', [shop.pick(ints(shop))], { to: 1 });
  const by = shop.float(shop.pick([0.5, 1, 1.5, 2, 3, 4]));
  const scaled = shop.g.op(shop.pick(['Mul', 'Div', 'Add', 'Sub']), [size, by]);
  const rounded = shop.g.op(shop.pick(['Floor', 'Ceil', 'Identity', 'Relu']), [scaled]);
  return shop.g.op('Cast', [rounded], { to: WHOLE });
};

const clip: Step = (shop) => {
  const bounds = [shop.scalar(shop.pick([0, 1, -2])), shop.scalar(shop.pick([3, 8]))];
  return shop.g.op('Clip', [shop.pick(ints(shop)), ...bounds]);
};

const repeat: Step = (shop) => {
  const single = ints(shop).filter((v) => lengthOf(v) === 1);
  if (shop.random.integer(2)) return shop.g.op('Tile', [shop.pick(vectors(shop)), shop.list(2)]);
  return shop.g.op('Expand', [shop.pick(single), shop.list(shop.between(1, 4))]);
};

/** As a matrix, turned around, and back: PyTorch's pads. */
const turn: Step = (shop) => {
  const even = vectors(shop).filter((v) => lengthOf(v) % 2 === 0);
  if (even.length === 0) return undefined;
  const matrix = shop.g.op('Reshape', [shop.pick(even), shop.list(-1, 2)]);
  const [start, end, axis, step] = [-1, -TO_THE_END, 0, -1].map((value) => shop.list(value));
  const turned = shop.random.integer(2)
    ? shop.g.op('Slice', [matrix, start, end, axis, step])
    : shop.g.op('Transpose', [matrix], { perm: [1, 0] });
  return shop.g.op('Reshape', [turned, shop.list(-1)]);
};

const range: Step = (shop) =>
  shop.g.op('Range', [
    shop.scalar(shop.between(-2, 2)),
    shop.scalar(shop.between(-2, 6)),
    shop.scalar(shop.pick([1, 2, -1])),
  ]);

const STEPS: readonly Step[] = [
  ...[binary, binary, binary, divide, divide, remainder, unary, comparison, logic, where, where],
  ...[gather, gather, concat, slice, split, squeeze, reduce, detour, scale, clip, repeat, turn],
  range,
];

const recipe: Recipe = {
  inputs: { x: ['a', 'b', 6], y: ['c', 4] },
  steps: 40,
  start(shop, [x, y]) {
    const shape = shop.g.op('Shape', [x]);
    keep(shop, shape);
    for (let i = 0; i < 3; i++) keep(shop, shop.g.op('Gather', [shape, shop.scalar(i)]));
    keep(shop, shop.g.op('Shape', [y], { start: -2, end: -1 }));
    keep(shop, shop.g.op('Size', [y]));
    for (const list of [[-1], [3, -5], [-7, 0, 2]]) keep(shop, shop.list(...list));
    for (const value of [2, 7]) keep(shop, shop.scalar(value));
  },
  step(shop) {
    const made = shop.pick(STEPS)(shop);
    const all = made === undefined ? [] : 'name' in made ? [made] : made;
    for (const value of all) keep(shop, value);
  },
};

describe('shape arithmetic', () => {
  it('knows what onnxruntime computes', async () => {
    const differences: string[] = [];
    let elements = 0;
    for (let seed = 0; seed < 60; seed++) {
      const result = await compareWithRuntime(recipe, seed, SIZES);
      for (const text of result.differences) differences.push(`seed ${seed}: ${text}`);
      elements += result.elements;
    }
    expect(differences).toEqual([]);
    process.stdout.write(`${elements} known elements compared\n`);
    expect(elements).toBeGreaterThan(10_000);
  });
});
