// Lifting to newer opsets: every adapter on a model of its own, in bodies and in functions, what
// refuses, and real models of many ages, each before and after in onnxruntime.

import { describe, expect, it } from '@jest/globals';
import { Builder, checkModel, Graph, Model, tensorType, Value } from '../../../src/graph/index.ts';
import { NEWEST_OPSET, upgradeOpset } from '../../../src/passes/upgrade/index.ts';
import { ADAPTERS, UNRUNNABLE } from '../../../src/passes/upgrade/table.ts';
import { VERSIONS } from '../../../src/passes/upgrade/versions.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { compareModels, Sketch } from '../../helpers/rewriting.ts';
import { CASES, type UpgradeCase } from './cases.ts';

function sketch(opset: number, build: UpgradeCase['build']) {
  const model = new Model(new Graph('test'), new Map([['', opset]]), opset > 10 ? 7 : 4);
  const s = new Sketch(model);
  [build(s, model)].flat().forEach((output, i) => {
    s.g.output(output, `result${i}`);
  });
  return { model, feeds: s.feeds };
}

const opsOf = (model: Model) => [...model.graph.nodes].map((node) => node.op);

describe('adapters', () => {
  it.each(CASES.map((c) => [c.adapters.join(' '), c.from, c] as const))(
    '%s from %i',
    async (_, from, { build, meaning, ops, to }) => {
      const { model, feeds } = sketch(from, build);
      const reference = meaning ? sketch(21, meaning).model : model;
      for (const target of to ? [to] : [21, NEWEST_OPSET]) {
        const result = upgradeOpset(model, target);
        expect(result.blocked).toBeUndefined();
        expect(result.changed.length).toBeGreaterThan(0);
        expect(result.model.opset).toBe(target);
        expect(checkModel(result.model)).toEqual([]);
        if (ops) expect(opsOf(result.model)).toEqual(ops);
        await compareModels(reference, result.model, feeds);
      }
    },
  );

  it('have a case each', () => {
    const refused = UNRUNNABLE.map((op) => `${op}:22`);
    const covered = new Set([...CASES.flatMap((c) => c.adapters), ...refused]);
    const all = Object.entries(ADAPTERS).flatMap(([op, versions]) =>
      Object.keys(versions).map((version) => `${op}:${version}`),
    );
    expect(all.filter((name) => !covered.has(name))).toEqual([]);
  });

  it('lift to versions that their operators have', () => {
    for (const [op, versions] of Object.entries(ADAPTERS)) {
      for (const version of Object.keys(versions)) expect(VERSIONS[op]).toContain(Number(version));
    }
  });
});

describe('what stays as it was, with the reason', () => {
  const refused: [string, number, UpgradeCase['build'], string][] = [
    [
      'an operator nobody knows',
      9,
      (s) => s.g.op('Frobnicate', [s.input('x', [2, 3])]),
      '"Frobnicate" is not an operator of the standard',
    ],
    [
      'BatchNormalization in training',
      6,
      (s) => {
        const inputs = [s.input('x', [2, 3]), s.weight([3]), s.weight([3]), s.weight([3])];
        return s.g.op('BatchNormalization', [...inputs, s.positive([3])]);
      },
      'it normalises by the statistics of the batch (is_test is not set)',
    ],
    [
      'running statistics',
      9,
      (s) => {
        const inputs = [s.input('x', [2, 3]), s.weight([3]), s.weight([3]), s.weight([3])];
        return s.g.ops('BatchNormalization', [...inputs, s.positive([3])], 3);
      },
      'its running statistics are read',
    ],
    [
      'a Resize by computed scales',
      10,
      (s) => s.g.op('Resize', [s.input('x', [1, 1, 4, 4]), s.input('scales', [4])]),
      'its scales are computed, so it may grow or shrink',
    ],
    [
      'a Resize both ways',
      10,
      (s) => {
        const scales = s.g.constant('scales', Tensor.of('float32', [4], [1, 1, 2, 0.5]));
        return s.g.op('Resize', [s.input('x', [1, 1, 4, 4]), scales]);
      },
      'it grows along one axis and shrinks along another',
    ],
    [
      'a broadcast of unknown rank',
      6,
      (s) => {
        const b = s.input('b', [3]);
        b.type = tensorType('float32');
        return s.g.op('Add', [s.input('x', [2, 3, 4]), b], { broadcast: 1, axis: 1 });
      },
      'the ranks of what it broadcasts are not known',
    ],
    [
      'a fractional power',
      1,
      (s) => s.g.op('GlobalLpPool', [s.input('x', [1, 1, 4, 4])], { p: 1.5 }),
      'its "p" is 1.5, no whole number',
    ],
  ];

  it.each(refused)('%s', (_, from, build, reason) => {
    const { model } = sketch(from, build);
    const before = opsOf(model);
    const result = upgradeOpset(model, 21);
    expect(result.blocked?.reason).toBe(reason);
    expect(result.blocked?.node).toMatch(/^node "/);
    expect(result.model).toBe(model);
    expect([result.from, result.to, model.opset]).toEqual([from, from, from]);
    expect(opsOf(model)).toEqual(before);
  });

  it.each(UNRUNNABLE)('%s beyond opset 21, where onnxruntime has no kernel', (op) => {
    const { model } = sketch(16, (s) => s.g.op(op, [s.input('x', [1, 1, 4, 4])]));
    expect(upgradeOpset(model, 21).blocked).toBeUndefined();
    const reason = 'onnxruntime 1.30 does not run it beyond opset 21';
    expect(upgradeOpset(model, 22).blocked?.reason).toBe(reason);
  });

  it('a model that is new enough', () => {
    const { model } = sketch(18, (s) => s.g.op('Relu', [s.input('x', [2])]));
    expect(upgradeOpset(model, 13)).toEqual({ model, from: 18, to: 18, changed: [] });
  });
});

describe('the lifted model', () => {
  it('leaves the given one alone, and keeps the names of nodes and values', () => {
    const { model } = sketch(9, (s) => {
      const scaled = s.g.op('Upsample', [s.input('x', [1, 1, 2, 2])], { scales: [1, 1, 2, 2] });
      const wide = s.g.op('Unsqueeze', [scaled], { axes: [0] }, { name: 'wide' });
      return s.g.op('Softmax', [wide], { axis: 2 }, { name: 'soft' });
    });
    for (const node of model.graph.nodes) if (node.op === 'Upsample') node.name = 'grow';
    const before = [...model.graph.nodes].map((n) => [n.name, n.output.name, [...n.attrs.keys()]]);
    const { model: lifted, changed } = upgradeOpset(model, 13);
    const now = [...model.graph.nodes].map((n) => [n.name, n.output.name, [...n.attrs.keys()]]);
    expect(now).toEqual(before);
    const names = [...lifted.graph.nodes].map((n) => n.output.name);
    expect(names).toEqual(expect.arrayContaining(before.map(([, output]) => output)));
    expect(changed).toEqual([
      'node "grow" (Upsample)',
      'node "wide" (Unsqueeze)',
      'node "soft" (Softmax)',
    ]);
  });

  it('shares the constants it adds', () => {
    const { model } = sketch(11, (s) =>
      [s.input('x', [1, 2]), s.input('y', [1, 3])].map((v) =>
        s.g.op('Squeeze', [s.g.op('Squeeze', [v], { axes: [0] })], { axes: [0] }),
      ),
    );
    // Broken on purpose: only the constants matter here.
    expect(upgradeOpset(model, 13).model.graph.initializers.size).toBe(1);
  });

  it('has the file format that its opset needs, and never an older one', () => {
    const { model } = sketch(9, (s) => s.g.op('Relu', [s.input('x', [2])]));
    expect(model.irVersion).toBe(4);
    expect(upgradeOpset(model, 21).model.irVersion).toBe(10);
    model.irVersion = 11;
    expect(upgradeOpset(model, 21).model.irVersion).toBe(11);
  });

  it('has weights that are constants, where the old format had them as inputs, too', async () => {
    const { model, feeds } = sketch(7, (s) => s.g.op('Add', [s.input('x', [2, 3]), s.weight([3])]));
    model.irVersion = 3;
    model.graph.inputs.push(...model.graph.initializers);
    const { model: lifted } = upgradeOpset(model, 21);
    expect(lifted.graph.inputs.map((value) => value.name)).toEqual(['x']);
    expect(model.graph.inputs).toHaveLength(2);
    await compareModels(model, lifted, feeds);
    // Since version 4 who lists a weight among the inputs lets it be fed.
    model.irVersion = 4;
    expect(upgradeOpset(model, 21).model.graph.inputs).toHaveLength(2);
  });

  it('reads constants of the main graph in bodies', async () => {
    const branch = (op: string) => {
      const graph = new Graph(op);
      const inner = new Builder(graph);
      graph.outputs.push(inner.op(op, [x], { axes: [0] }, { name: op }));
      for (const value of graph.outputs) value.type = tensorType('float32');
      return graph;
    };
    let x = new Value('');
    const { model, feeds } = sketch(11, (s) => {
      x = s.input('x', [1, 3]);
      const condition = s.g.op('Greater', [s.input('c', []), s.scalar(0)]);
      const attrs = { then_branch: branch('Squeeze'), else_branch: branch('Unsqueeze') };
      return s.g.op('If', [condition], attrs);
    });
    const { model: lifted } = upgradeOpset(model, 21);
    expect(checkModel(lifted)).toEqual([]);
    for (const c of [-1, 1]) {
      const given = new Map([...feeds, ['c', Tensor.scalar('float32', c)]]);
      await compareModels(model, lifted, given);
    }
  });

  it('lifts functions from their own opset, with constants as nodes', async () => {
    const body = new Graph('Squash');
    const inner = new Builder(body);
    const wide = inner.op('Unsqueeze', [inner.input('a', undefined)], { axes: [0] });
    body.outputs.push(inner.op('Softmax', [wide], { axis: 1 }));
    const { model, feeds } = sketch(13, (s, m) => {
      m.opsets.set('local', 1);
      m.functions.push({
        name: 'Squash',
        domain: 'local',
        overload: '',
        graph: body,
        attributes: [],
        defaults: new Map(),
        opsets: new Map([['', 12]]),
      });
      return s.g.op('Squash', [s.input('x', [['n', 2], 3])], {}, { domain: 'local' });
    });
    model.irVersion = 8;
    const result = upgradeOpset(model, 18);
    const [lifted] = result.model.functions;
    expect(lifted?.opsets.get('')).toBe(18);
    expect(lifted?.graph.initializers.size).toBe(0);
    const reference = sketch(18, (s) => {
      const flat = s.g.op('Reshape', [s.input('x', [['n', 2], 3]), s.ints(1, -1)]);
      const soft = s.g.op('Softmax', [flat], { axis: -1 });
      return s.g.op('Reshape', [soft, s.ints(1, -1, 3)]);
    });
    await compareModels(reference.model, result.model, feeds);
  });
});
