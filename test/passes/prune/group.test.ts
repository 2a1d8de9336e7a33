// What hangs together in graphs as exporters write them, what stays whole and why.

import { describe, expect, it } from '@jest/globals';
import { checkModel, Graph, Model, tensorType, type Value } from '../../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../../src/onnx/index.ts';
import { cutUnits } from '../../../src/passes/prune/cut.ts';
import { findGroups, type Groups } from '../../../src/passes/prune/group.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { Sketch } from '../../helpers/rewriting.ts';
import { expectExact } from './exactness.ts';
import { chooseRandomly } from './masked.ts';
import { image, project, read, tokens } from './op-cases.ts';

function sketch(build: (s: Sketch) => Value | readonly Value[], opset = 21) {
  const model = new Model(new Graph('test'), new Map([['', opset]]), 10);
  const s = new Sketch(model);
  [build(s)].flat().forEach((output, i) => {
    s.g.output(output as Value, `result${i}`);
  });
  return { model, feeds: s.feeds };
}

const units = ({ groups }: Groups) => groups.map((group) => group.units).sort((a, b) => a - b);

describe('groups', () => {
  it('residual blocks tie all that is added up', async () => {
    const { model, feeds } = sketch((s) => {
      const x = image(s);
      const y = s.g.op('Conv', [s.g.op('Relu', [x]), s.weight([8, 8, 3, 3])], {
        pads: [1, 1, 1, 1],
      });
      return read(s, s.g.op('Add', [x, y]), 8);
    });
    const { groups } = findGroups(model);
    expect(groups.map((group) => [group.units, group.makers.length])).toEqual([[8, 2]]);
    await expectExact(model, feeds, chooseRandomly(groups, 0.5));
  });

  it('squeeze and excitation: two groups, one of them with the trunk', async () => {
    const { model, feeds } = sketch((s) => {
      const x = image(s);
      const pooled = s.g.op('GlobalAveragePool', [x]);
      const inner = s.g.op('Relu', [s.g.op('Conv', [pooled, s.weight([4, 8, 1, 1])])]);
      const gate = s.g.op('Sigmoid', [s.g.op('Conv', [inner, s.weight([8, 4, 1, 1])])]);
      return read(s, s.g.op('Mul', [x, gate]), 8);
    });
    const found = findGroups(model);
    expect(units(found)).toEqual([4, 8]);
    await expectExact(model, feeds, chooseRandomly(found.groups, 0.5));
  });

  it('a weight that two nodes share ties both', async () => {
    const { model, feeds } = sketch((s) => {
      const shared = s.weight([8, 8]);
      const y = s.g.op('MatMul', [tokens(s), shared]);
      return project(s, s.g.op('MatMul', [s.g.op('Relu', [y]), shared]), 8);
    });
    const found = findGroups(model);
    // Rows and columns of the shared weight are the same units.
    expect(units(found)).toEqual([8]);
    await expectExact(model, feeds, chooseRandomly(found.groups, 0.5));
  });

  it('a GroupNormalization in single steps goes group by group', async () => {
    const { model, feeds } = sketch((s) => {
      const x = image(s, 8, 3);
      const folded = s.g.op('Reshape', [x, s.ints(0, 4, -1)]);
      const [one, zero] = [s.positive([4]), s.weight([4])];
      const normal = s.g.op('InstanceNormalization', [folded, one, zero]);
      const back = s.g.op('Reshape', [normal, s.g.op('Shape', [x])]);
      const scaled = s.g.op('Mul', [back, s.weight([8, 1, 1])]);
      return read(s, scaled, 8);
    });
    const found = findGroups(model);
    expect(units(found)).toEqual([4]);
    expect(found.groups[0]?.exact).toBe(true);
    await expectExact(model, feeds, chooseRandomly(found.groups, 0.5));
  });

  it('Constant nodes are weights like initializers', async () => {
    const { model, feeds } = sketch((s) => {
      const data = s.weight([5, 8]).data as Tensor;
      const weight = s.g.op('Constant', [], { value: data });
      return project(s, s.g.op('MatMul', [s.input('x', [2, 5]), weight]), 8);
    });
    const found = findGroups(model);
    expect(units(found)).toEqual([8]);
    const pruned = await expectExact(model, feeds, chooseRandomly(found.groups, 0.5));
    const constant = [...pruned.graph.nodes].find(({ op }) => op === 'Constant');
    expect(constant?.tensor('value')?.shape).toEqual([5, 4]);
  });

  it('weights that are inputs with default values are cut with their declared shape', async () => {
    const { model, feeds } = sketch((s) => project(s, tokens(s), 8));
    model.graph.inputs.push(...model.graph.initializers);
    const found = findGroups(model);
    expect(units(found)).toEqual([8]);
    const pruned = await expectExact(model, feeds, chooseRandomly(found.groups, 0.5));
    const again = decodeModel(await encodeModel(pruned));
    expect(checkModel(again)).toEqual([]);
    expect(again.graph.inputs.map(({ shape }) => shape)).toEqual([[2, 4, 5], [5, 4], [4], [4, 3]]);
  });

  it('batch and length may be open', () => {
    const model = parseModel(`
      g (float[batch, seq, 8] x) => (float[batch, seq, 5] y)
      <float[12, 8] w = random, float[12] b = random, float[5, 12] v = random> {
        wt = Transpose<perm = [1, 0]>(w)
        h = MatMul(x, wt)
        hb = Add(h, b)
        r = Relu(hb)
        vt = Transpose<perm = [1, 0]>(v)
        y = MatMul(r, vt)
      }`);
    const { groups } = findGroups(model);
    const [group] = groups;
    expect(groups.map((g) => [g.units, g.kind])).toEqual([[12, 'neuron']]);
    // Roles are seen through the Transpose of a weight.
    expect(group?.weights.map(({ value, axis, role }) => [value.name, axis, role])).toEqual([
      ['w', 0, 'makes'],
      ['b', 0, 'follows'],
      ['v', 1, 'sums'],
    ]);
  });

  it('bodies of If are followed into; what they are given and hand out stays', () => {
    const model = parseModel(`
      g (float[2, 5] x, bool c) => (float[2, 3] y)
      <float[5, 8] w = random, float[8, 8] v = random, float[8, 3] u = random> {
        h = MatMul(x, w)
        y = If<then_branch = then () => (float[2, 3] a) {
            p = MatMul(h, v)
            a = MatMul(p, u)
          }, else_branch = other () => (float[2, 3] b) {
            b = MatMul(h, u)
          }>(c)
      }`);
    const found = findGroups(model);
    // w, v and u along the axis that h, p and both branches share.
    expect(units(found)).toEqual([8]);
  });
});

describe('what stays whole', () => {
  const reasons = (model: Model) =>
    findGroups(model).frozen.map(({ weight, axis, reason }) => `${weight.name}.${axis}: ${reason}`);

  it('is told with what stopped it', () => {
    const model = parseModel(`
      g (float[2, 5] x) => (float[2, 3] y, int64[2, 8] order)
      <float[5, 8] w = random, float[8, 3] v = random> {
        h = MatMul(x, w)
        s = Softmax<axis = 1>(h)
        k = Hardmax<axis = 1>(s)
        order = Cast<to = 7>(k)
        y = MatMul(s, v)
      }`);
    expect(reasons(model)).toEqual([
      'w.0: "x" is an input of the graph',
      'w.1: Softmax reads "h" along this axis as a whole',
      'v.0: Softmax makes "s" along this axis as a whole',
      'v.1: "y" is an output of the graph',
    ]);
  });

  it('unknown operators, calls of functions and bodies of loops hold what they touch', () => {
    const model = parseModel(`
      <opset_import: ["" : 17, "other" : 1]>
      g (float[2, 5] x) => (float[2, 3] y)
      <float[5, 8] w = random, float[8, 3] v = random> {
        h = MatMul(x, w)
        o = other.Mystery(h)
        y = MatMul(o, v)
      }`);
    const found = findGroups(model);
    expect(found.groups).toEqual([]);
    const held = found.frozen.find(({ weight, axis }) => weight.name === 'w' && axis === 1);
    expect([held?.reason, held?.node?.op]).toEqual(['other.Mystery cannot be followed', 'Mystery']);
  });

  it('sizes that data is calculated with make a cut inexact', () => {
    const build = (scaled: boolean) =>
      sketch((s) => {
        const x = tokens(s);
        const size = s.g.op('Gather', [s.g.op('Shape', [x]), s.g.constant('i', index(2))]);
        const factor = s.g.op('Cast', [size], { to: 1 });
        const target = s.g.op('Concat', [s.ints(-1), s.g.op('Reshape', [size, s.ints(1)])], {
          axis: 0,
        });
        const y = scaled ? s.g.op('Div', [x, factor]) : s.g.op('Reshape', [x, target]);
        return project(s, y, 8);
      }).model;
    const exact = (model: Model) => findGroups(model).groups.map((group) => group.exact);
    expect([exact(build(true)), exact(build(false))]).toEqual([[false], [true]]);
  });

  it('an axis that is folded two ways is cut one way, or not at all', async () => {
    // 6 channels as 2 x 3 in one place and as 3 x 2 in another.
    const { model, feeds } = sketch((s) => {
      const x = tokens(s, 6, [2]);
      const a = s.g.op('Softmax', [s.g.op('Reshape', [x, s.ints(2, 2, 3)])], { axis: 2 });
      const b = s.g.op('Softmax', [s.g.op('Reshape', [x, s.ints(2, 3, 2)])], { axis: 2 });
      const flat = [a, b].map((y) => s.g.op('Reshape', [y, s.ints(2, 6)]));
      return project(s, s.g.op('Concat', flat, { axis: 1 }), 12);
    });
    const { groups } = findGroups(model);
    expect(groups.filter((group) => group.makers.length > 0)).toEqual([]);
    if (groups.length > 0) await expectExact(model, feeds, chooseRandomly(groups, 0.5));
  });

  it('shapes that cannot follow fail before anything is written', () => {
    const { model } = sketch((s) => {
      const x = tokens(s, 8, [2]);
      const length = s.input('n', [1], 'int64');
      s.feeds.set('n', Tensor.int64([8]));
      return project(s, s.g.op('Slice', [x, s.ints(0), length, s.ints(1)]), 8);
    });
    // Bounds that are fed hold the axis.
    expect(units(findGroups(model))).toEqual([]);
    expect(() => cutUnits(model, [])).not.toThrow();
  });
});

const index = (i: number) => Tensor.scalar('int64', i);

it('types of graph inputs and outputs are as before', async () => {
  const { model } = sketch((s) => [project(s, tokens(s), 8)]);
  const types = () => [...model.graph.inputs, ...model.graph.outputs].map(({ type }) => type);
  const before = types();
  const { groups } = findGroups(model);
  cutUnits(model, chooseRandomly(groups, 0.5));
  expect(types()).toEqual(before);
  expect(before[0]).toEqual(tensorType('float32', [2, 4, 5]));
});
