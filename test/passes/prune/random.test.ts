// Random networks of everything that moves channels about: whatever groups come out, the cut is exact.

import { expect, it } from '@jest/globals';
import { Graph, Model, type Value } from '../../../src/graph/index.ts';
import { findGroups } from '../../../src/passes/prune/group.ts';
import { unshare } from '../../../src/passes/prune/unshare.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Sketch } from '../../helpers/rewriting.ts';
import { differ, expectExact, run } from './exactness.ts';
import { chooseRandomly } from './masked.ts';
import { image, read } from './op-cases.ts';

const NETWORKS = 40;
const STEPS = 9;

const channels = (x: Value) => x.shape?.[1] as number;

/** One more value from those there are; undefined where the step does not fit. */
type Step = (s: Sketch, x: Value, y: Value, random: Random) => Value | readonly Value[] | undefined;

const conv = (s: Sketch, x: Value, out: number, group = 1) =>
  s.g.op('Conv', [x, s.weight([out, channels(x) / group, 1, 1]), s.weight([out])], { group });

const STEPPING: readonly Step[] = [
  (s, x, _, random) => conv(s, x, 4 + 2 * random.integer(4)),
  (s, x) => conv(s, x, channels(x), channels(x)),
  (s, x) => (channels(x) % 2 === 0 ? conv(s, x, 6, 2) : undefined),
  (s, x) => s.g.op('Relu', [x]),
  (s, x, y) => (channels(x) === channels(y) ? s.g.op('Add', [x, y]) : undefined),
  (s, x, y) => (channels(x) === channels(y) ? s.g.op('Mul', [x, s.g.op('Tanh', [y])]) : undefined),
  (s, x, y) => (channels(x) < 20 ? s.g.op('Concat', [x, y], { axis: 1 }) : undefined),
  (s, x, _, random) => {
    if (channels(x) < 2) return undefined;
    const first = 1 + random.integer(channels(x) - 1);
    return s.g.ops('Split', [x, s.ints(first, channels(x) - first)], 2, { axis: 1 });
  },
  (s, x) =>
    channels(x) > 1
      ? s.g.op('Slice', [x, s.ints(1), s.ints(Number.MAX_SAFE_INTEGER), s.ints(1)])
      : undefined,
  (s, x, _, random) => {
    const picks = Array.from({ length: 5 }, () => random.integer(channels(x)));
    return s.g.op('Gather', [x, s.ints(...picks)], { axis: 1 });
  },
  (s, x) => s.g.op('Pad', [x, s.ints(0, 1, 0, 0, 0, 2, 0, 0)]),
  (s, x) => {
    const c = channels(x);
    if (c % 2 !== 0) return undefined;
    const split = s.g.op('Reshape', [x, s.ints(1, 2, c / 2, 36)]);
    const turned = s.g.op('Transpose', [split], { perm: [0, 2, 1, 3] });
    return s.g.op('Reshape', [turned, s.ints(1, c, 6, 6)]);
  },
  (s, x) => {
    const last = s.g.op('Transpose', [x], { perm: [0, 2, 3, 1] });
    const y = s.g.op('MatMul', [last, s.weight([channels(x), 6])]);
    return s.g.op('Transpose', [y], { perm: [0, 3, 1, 2] });
  },
  (s, x) => {
    const pooled = s.g.op('GlobalAveragePool', [x]);
    return s.g.op('Mul', [x, s.g.op('Sigmoid', [conv(s, pooled, channels(x))])]);
  },
  (s, x) => {
    const [scale, bias] = [s.positive([channels(x)]), s.weight([channels(x)])];
    return s.g.op('InstanceNormalization', [x, scale, bias]);
  },
  (s, x) => (channels(x) <= 8 ? s.g.op('Tile', [x, s.ints(1, 2, 1, 1)]) : undefined),
  (s, x) => {
    const flat = s.g.op('Reshape', [x, s.ints(1, -1)]);
    const width = channels(x) * 36;
    const y = s.g.op('Gemm', [flat, s.weight([width, 36]), s.weight([36])]);
    return s.g.op('Concat', [x, s.g.op('Reshape', [y, s.ints(1, 1, 6, 6)])], { axis: 1 });
  },
];

function network(seed: number) {
  const model = new Model(new Graph('random'), new Map([['', 21]]), 10);
  const s = new Sketch(model);
  const random = new Random(seed);
  const values = [image(s, 6)];
  const pick = () => values[random.integer(values.length)] as Value;
  for (let left = STEPS; left > 0; ) {
    const step = STEPPING[random.integer(STEPPING.length)] as Step;
    const made = step(s, pick(), pick(), random);
    if (!made) continue;
    values.push(...[made].flat());
    left -= 1;
  }
  const ends = values.filter(({ uses }) => uses.length === 0);
  ends.forEach((value, i) => {
    s.g.output(read(s, value, channels(value)), `y${i}`);
  });
  unshare(model);
  return { model, feeds: s.feeds };
}

it('random networks are cut exactly', async () => {
  let [cut, changed] = [0, 0];
  for (let seed = 0; seed < NETWORKS; seed++) {
    const { model, feeds } = network(seed);
    const choices = chooseRandomly(findGroups(model).groups, 0.5, { seed });
    if (choices.length === 0) continue;
    cut += 1;
    try {
      const pruned = await expectExact(model, feeds, choices);
      if (differ(await run(model, feeds), await run(pruned, feeds))) changed += 1;
    } catch (error) {
      throw new Error(`network of seed ${seed}: ${(error as Error).message}`);
    }
  }
  expect(cut).toBeGreaterThan(NETWORKS * 0.9);
  expect(changed).toBeGreaterThan(cut * 0.9);
});
