// Heads as exporters write them out, and vectors that layers share.

import { describe, expect, it } from '@jest/globals';
import { Graph, Model, type Value } from '../../../src/graph/index.ts';
import { pruneChannels } from '../../../src/passes/prune/channels.ts';
import { findGroups, type Groups } from '../../../src/passes/prune/group.ts';
import { unshare } from '../../../src/passes/prune/unshare.ts';
import { Sketch } from '../../helpers/rewriting.ts';
import { expectExact } from './exactness.ts';
import { chooseRandomly } from './masked.ts';
import { project, tokens } from './op-cases.ts';

function sketch(build: (s: Sketch) => Value) {
  const model = new Model(new Graph('test'), new Map([['', 21]]), 10);
  const s = new Sketch(model);
  s.g.output(build(s), 'y');
  return { model, feeds: s.feeds };
}

const units = ({ groups }: Groups) => groups.map((group) => group.units).sort((a, b) => a - b);

describe('heads', () => {
  /** Queries of 6 heads of 4, keys and values of 2 heads that 3 queries share each. */
  function shared(s: Sketch) {
    const heads = (name: string, count: number) => {
      const x = tokens(s, count * 4, [2, 5], name);
      const split = s.g.op('Reshape', [x, s.ints(0, 0, count, 4)]);
      return s.g.op('Transpose', [split], { perm: [0, 2, 1, 3] });
    };
    const repeated = (x: Value) => {
      const wide = s.g.op('Expand', [s.g.op('Unsqueeze', [x, s.ints(2)]), s.ints(2, 2, 3, 5, 4)]);
      return s.g.op('Reshape', [wide, s.ints(2, 6, 5, 4)]);
    };
    const [q, k, v] = [heads('q', 6), repeated(heads('k', 2)), repeated(heads('v', 2))];
    const turned = s.g.op('Transpose', [k], { perm: [0, 1, 3, 2] });
    const weights = s.g.op('Softmax', [s.g.op('MatMul', [q, turned])]);
    const mixed = s.g.op('MatMul', [weights, v]);
    const back = s.g.op('Transpose', [mixed], { perm: [0, 2, 1, 3] });
    return project(s, s.g.op('Reshape', [back, s.ints(2, 5, 24)]), 24);
  }

  it('that share keys go with them', async () => {
    const { model, feeds } = sketch(shared);
    const { groups } = findGroups(model);
    expect(groups.map((group) => [group.units, group.kind, group.makers.length])).toEqual([
      [2, 'head', 3],
    ]);
    await expectExact(model, feeds, chooseRandomly(groups, 0.5));
  });

  it('folded into a batch of open size, targets calculated', async () => {
    const { model, feeds } = sketch((s) => {
      const x = s.input('x', [3, ['batch', 2], 5]);
      const wide = (name: string) => {
        const y = s.g.op('MatMul', [x, s.weight([5, 12])], {}, { name });
        const batch = s.g.op('Slice', [s.g.op('Shape', [x]), s.ints(1), s.ints(2)]);
        const folded = s.g.op('Mul', [batch, s.ints(4)]);
        const target = s.g.op('Concat', [s.ints(3), folded, s.ints(3)], { axis: 0 });
        return s.g.op('Transpose', [s.g.op('Reshape', [y, target])], { perm: [1, 0, 2] });
      };
      const [q, k, v] = ['q', 'k', 'v'].map(wide) as [Value, Value, Value];
      const turned = s.g.op('Transpose', [k], { perm: [0, 2, 1] });
      const mixed = s.g.op('MatMul', [s.g.op('Softmax', [s.g.op('MatMul', [q, turned])]), v]);
      const back = s.g.op('Transpose', [mixed], { perm: [1, 0, 2] });
      return project(s, s.g.op('Reshape', [back, s.ints(3, -1, 12)]), 12);
    });
    const { groups } = findGroups(model);
    expect(groups.map((group) => [group.units, group.kind])).toEqual([[4, 'head']]);
    await expectExact(model, feeds, chooseRandomly(groups, 0.5));
  });

  it('keep their size where it is calculated from a hidden size that is cut', async () => {
    const { model, feeds } = sketch((s) => {
      const x = tokens(s, 8, [2, 5]);
      const hidden = s.g.op('Slice', [s.g.op('Shape', [x]), s.ints(2), s.ints(3)]);
      const size = s.g.op('Div', [hidden, s.ints(2)]);
      const target = s.g.op('Concat', [s.ints(0, 0, 2), size], { axis: 0 });
      const y = s.g.op('MatMul', [x, s.weight([8, 8])]);
      const split = s.g.op('Softmax', [s.g.op('Reshape', [y, target])]);
      return project(s, s.g.op('Reshape', [split, s.ints(0, 0, 8)]), 8);
    });
    const { groups } = findGroups(model);
    const trunk = groups.filter((group) => group.units === 8);
    expect(trunk.length).toBe(1);
    const pruned = await expectExact(model, feeds, chooseRandomly(trunk, 0.5));
    const split = [...pruned.graph.nodes].find(({ op }) => op === 'Softmax');
    expect(split?.output.shape).toEqual([2, 5, 2, 4]);
  });
});

describe('equal vectors that are stored once', () => {
  const build = () =>
    sketch((s) => {
      const bias = s.weight([8]);
      const first = s.g.op('Add', [
        s.g.op('MatMul', [s.input('x', [2, 5]), s.weight([5, 8])]),
        bias,
      ]);
      const second = s.g.op('Add', [s.g.op('MatMul', [first, s.weight([8, 8])]), bias]);
      return project(s, s.g.op('Relu', [second]), 8);
    });

  it('tie the layers that read them, until each has its own', async () => {
    const { model, feeds } = build();
    expect(units(findGroups(model))).toEqual([8]);
    expect(unshare(model)).toBe(true);
    expect(unshare(model)).toBe(false);
    const found = findGroups(model);
    expect(units(found)).toEqual([8, 8]);
    await expectExact(model, feeds, chooseRandomly(found.groups, 0.5));
  });

  it('stay together where the length of one is asked for', () => {
    const { model } = sketch((s) => {
      const bias = s.weight([8]);
      const x = s.g.op('Add', [s.g.op('MatMul', [s.input('x', [2, 5]), s.weight([5, 8])]), bias]);
      return s.g.op('Expand', [s.g.op('ReduceMax', [x]), s.g.op('Shape', [bias])]);
    });
    expect(unshare(model)).toBe(false);
    // The length is the shape of an output.
    expect(findGroups(model).groups.filter((group) => group.exact)).toEqual([]);
  });

  it('are parted when channels are pruned, and only in the result', async () => {
    const { model } = build();
    const before = model.graph.initializers.size;
    const { outcomes } = await pruneChannels(model, { amount: 0.5 });
    expect(outcomes.map(({ after }) => after)).toEqual([4, 4]);
    expect(model.graph.initializers.size).toBe(before);
    const none = await pruneChannels(model, { amount: 0 });
    expect(none.model.graph.initializers.size).toBe(before);
  });
});
