// From options to the model that is left: scores, amounts, rounding, targets, filters, and errors.

import { describe, expect, it } from '@jest/globals';
import { architectureNamed } from '../../../src/archs/index.ts';
import {
  Builder,
  checkModel,
  Graph,
  Model,
  tensorType,
  type Value,
} from '../../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../../src/onnx/index.ts';
import { inferNode } from '../../../src/ops/index.ts';
import { pruneChannels, takesKinds } from '../../../src/passes/prune/channels.ts';
import { chooseUnits } from '../../../src/passes/prune/choose.ts';
import { cutUnits } from '../../../src/passes/prune/cut.ts';
import { findGroups, type Group } from '../../../src/passes/prune/group.ts';
import { CRITERIA, criterionNamed, normalized } from '../../../src/passes/prune/importance.ts';
import { TARGETS, targetOf } from '../../../src/passes/prune/targets.ts';
import { parsePattern } from '../../../src/passes/select.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';

const run = createRunner();

/** As a file holds it. */
async function resnet(): Promise<Model> {
  const built = architectureNamed('resnet18').build({ in: [3, 32, 32], width: 16 }, 0);
  return decodeModel(await encodeModel(built));
}

/** x [1, 2] through W [2, n] and V [n, 1]. */
function twoLayers(w: readonly number[], v: readonly number[]): Model {
  const model = new Model(new Graph('test'), new Map([['', 17]]), 8);
  const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  const n = v.length;
  const x = g.input('x', tensorType('float32', [1, 2]));
  const weight = (name: string, shape: number[], values: readonly number[]) =>
    g.constant(name, Tensor.of('float32', shape, values));
  const hidden = g.op('MatMul', [x, weight('w', [2, n], w)], {}, { name: 'first' });
  g.output(g.op('MatMul', [hidden, weight('v', [n, 1], v)], {}, { name: 'second' }), 'y');
  return model;
}

const scoresOf = async (model: Model, name: (typeof CRITERIA)[number], runner?: typeof run) => {
  const { groups } = findGroups(model);
  const context = { seed: 1, reduction: 'sum', run: runner } as const;
  return Array.from((await criterionNamed(name)(groups, context))[0] as Float64Array);
};

describe('importance', () => {
  // Columns of W: (3, 4), (0, 1), (-3, -4), (6, 0).
  const w = [3, 0, -3, 6, 4, 1, -4, 0];
  const v = [1, -2, 0, 0.5];

  it('L1 and L2 add what makes a unit and what reads it', async () => {
    expect(await scoresOf(twoLayers(w, v), 'l1')).toEqual([8, 3, 7, 6.5]);
    expect(await scoresOf(twoLayers(w, v), 'l2')).toEqual([6, 3, 5, 6.5]);
  });

  it('FPGM is the sum of distances to the other units, with a runner and without', async () => {
    const columns = [
      [3, 4],
      [0, 1],
      [-3, -4],
      [6, 0],
    ] as const;
    const expected = columns.map(([a, b]) =>
      columns.reduce((sum, [c, d]) => sum + Math.hypot(a - c, b - d), 0),
    );
    for (const runner of [run, undefined]) {
      const found = await scoresOf(twoLayers(w, v), 'fpgm', runner);
      found.forEach((score, i) => {
        expect(score).toBeCloseTo(expected[i] as number, 4);
      });
    }
  });

  it('LAMP divides by what is no smaller', () => {
    const scores = normalized(Float64Array.of(2, 1, 3), 'lamp');
    expect(Array.from(scores)).toEqual([4 / 13, 1 / 14, 1]);
  });

  it('BatchNorm scales rank channels where there are any', async () => {
    const model = await resnet();
    const { groups } = findGroups(model);
    const context = { seed: 0, reduction: 'mean' } as const;
    const [scores] = await criterionNamed('bn-scale')(groups, context);
    // Fresh scales are all one.
    expect(new Set(scores)).toEqual(new Set([1]));
  });

  it('weights that are stored as integers count as what they stand for', async () => {
    const model = new Model(new Graph('test'), new Map([['', 17]]), 8);
    const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
    const x = g.input('x', tensorType('float32', [1, 2]));
    const q = g.constant('q', Tensor.of('int8', [2, 3], [10, 10, 10, 10, 10, 10]));
    const scale = g.constant('scale', Tensor.of('float32', [3], [1, 0.1, 0.5]));
    const weight = g.op('DequantizeLinear', [q, scale], { axis: 1 });
    const v = g.constant('v', Tensor.of('float32', [3, 1], [0, 0, 0]));
    g.output(g.op('MatMul', [g.op('MatMul', [x, weight]), v]), 'y');
    const scores = await scoresOf(model, 'l1');
    expect(scores.map((score) => Math.round(score))).toEqual([20, 2, 10]);
  });

  it.each(CRITERIA)('%s prunes and gives the same bytes each time', async (criterion) => {
    const options = { amount: 0.5, criterion, seed: 3 };
    const once = await pruneChannels(await resnet(), options, { run });
    const again = await pruneChannels(await resnet(), options, { run });
    expect(checkModel(once.model)).toEqual([]);
    expect(once.choices.length).toBeGreaterThan(0);
    const [a, b] = [await encodeModel(once.model), await encodeModel(again.model)];
    expect(Buffer.compare(a, b)).toBe(0);
  });
});

describe('amounts', () => {
  it('the lowest units go', async () => {
    const model = twoLayers([3, 0, -3, 6, 4, 1, -4, 0], [1, 0, 0.5, 1]);
    const { model: pruned, choices } = await pruneChannels(model, { amount: 0.5, criterion: 'l1' });
    expect(choices[0]?.units).toEqual([1, 3]);
    const left = [...pruned.graph.initializers].map(({ name, data }) => [name, data?.numbers()]);
    expect(left).toEqual([
      ['w', [3, -3, 4, -4]],
      ['v', [1, 0.5]],
    ]);
    expect(model.graph.initializers.size).toBe(2);
  });

  it('are rounded to what is left', async () => {
    const { outcomes } = await pruneChannels(await resnet(), { amount: 0.4, roundTo: 8 });
    expect(outcomes.map(({ after }) => after % 8).filter((rest) => rest !== 0)).toEqual([]);
    expect(outcomes.some(({ before, after }) => after < before)).toBe(true);
  });

  it('leave a share of every group in a global ranking', async () => {
    const options = { amount: 0.7, scope: 'global', criterion: 'lamp', keep: 0.25 } as const;
    const { outcomes } = await pruneChannels(await resnet(), options);
    const shares = outcomes.map(({ before, after }) => after / before);
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.25);
    const [before, after] = [total(outcomes, 'before'), total(outcomes, 'after')];
    expect(after / before).toBeCloseTo(0.3, 1);
  });

  it('can differ from group to group', async () => {
    const amounts = [{ pattern: parsePattern('layer4*'), amount: 0.75 }];
    const { outcomes } = await pruneChannels(await resnet(), { amount: 0.25, amounts });
    for (const { group, before, after } of outcomes) {
      expect([group.name, after / before]).toEqual([
        group.name,
        group.name.startsWith('layer4') ? 0.25 : 0.75,
      ]);
    }
  });

  it('heads count with their channels', () => {
    const positions = Array.from({ length: 6 }, (_, i) => [2 * i, 2 * i + 1]);
    const member = { value: {} as Value, axis: 0, size: 12, role: 'makes' as const, positions };
    const group = { id: 0, name: 'q', units: 6, weights: [member] } as unknown as Group;
    const options = { scope: 'layer', amount: 0.5, roundTo: 8, minimum: 1, keep: 0 } as const;
    const [choice] = chooseUnits([{ group, scores: [6, 5, 4, 3, 2, 1] }], options);
    // 3 heads of 2 are 6 channels: 8 is the nearest multiple.
    expect(choice?.units).toEqual([4, 5]);
  });

  it.each(TARGETS)('meet a target of %s', async (name) => {
    const model = await resnet();
    const target = targetOf(name, 0.5);
    const before = await target.cost(model);
    const { model: pruned } = await pruneChannels(model, { target });
    const share = (await target.cost(pruned)) / before;
    expect(share).toBeLessThanOrEqual(0.5);
    expect(share).toBeGreaterThan(0.44);
  });
});

const total = (rows: readonly { before: number; after: number }[], key: 'before' | 'after') =>
  rows.reduce((sum, row) => sum + row[key], 0);

describe('filters', () => {
  it('--skip and --only name the layers that make the channels', async () => {
    const only = [parsePattern('layer1*')];
    const skip = [parsePattern('*conv2*')];
    const { outcomes } = await pruneChannels(await resnet(), { amount: 0.5, only, skip });
    const cut = outcomes.filter(({ before, after }) => after < before);
    expect(cut.length).toBeGreaterThan(0);
    expect(cut.map(({ group }) => group.name.replace(/layer1\.\d\.conv1.*/, ''))).toEqual(
      cut.map(() => ''),
    );
    expect(new Set(outcomes.flatMap(({ reason }) => reason ?? []))).toEqual(
      new Set(['--skip *conv2*', 'not named by --only']),
    );
  });

  it('kinds make methods', async () => {
    const built = architectureNamed('bert').build(
      { hidden: [32], layers: 2, heads: 4, vocab: 50, mlpDim: 64 },
      0,
    );
    const model = decodeModel(await encodeModel(built));
    const cut = async (kind: 'head' | 'neuron') => {
      const { outcomes } = await pruneChannels(model, { amount: 0.5, takes: takesKinds(kind) });
      return outcomes.filter((o) => o.after < o.before).map(({ before, after }) => [before, after]);
    };
    expect(await cut('head')).toEqual([
      [4, 2],
      [4, 2],
    ]);
    expect(await cut('neuron')).toEqual([
      [64, 32],
      [64, 32],
    ]);
  });
});

describe('errors', () => {
  it.each([-0.1, 1, Number.NaN])('an amount of %f', async (amount) => {
    await expect(pruneChannels(await resnet(), { amount })).rejects.toMatchObject({
      kind: 'usage',
    });
  });

  it('a target that is out of reach', async () => {
    const target = targetOf('params', 0.001);
    const pruned = pruneChannels(await resnet(), { target, keep: 0.5 });
    await expect(pruned).rejects.toThrow(/cannot be met/);
  });

  it('a graph where nothing can be cut', async () => {
    const model = new Model(new Graph('test'), new Map([['', 17]]), 8);
    const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
    const x = g.input('x', tensorType('float32', [1, 2]));
    g.output(g.op('MatMul', [x, g.constant('w', Tensor.of('float32', [2, 2], [1, 2, 3, 4]))]), 'y');
    await expect(pruneChannels(model, { amount: 0.5 })).rejects.toMatchObject({
      kind: 'model',
      code: 'nothing-to-prune',
    });
  });
});

describe('large weights', () => {
  it('are read when the result is written, not when it is cut', async () => {
    const model = twoLayers([1, 2], [1]);
    const [w, v] = [...model.graph.initializers] as [Value, Value];
    const width = 1 << 18;
    let reads = 0;
    const lazy = (shape: number[]) =>
      new Tensor('float32', shape, {
        byteLength: width * 8,
        read(offset: number, length: number) {
          reads += 1;
          return new Uint8Array(length).fill(offset === 0 ? 1 : 2);
        },
      });
    model.graph.setData(w, lazy([2, width]));
    model.graph.setData(v, lazy([width, 2]));
    const [group] = findGroups(model).groups;
    expect(group?.units).toBe(width);
    cutUnits(model, [{ group: group as Group, units: [0, 5] }]);
    expect(reads).toBe(0);
    expect([w.data?.shape, v.data?.shape]).toEqual([
      [2, width - 2],
      [width - 2, 2],
    ]);
    expect((await (w.data as Tensor).load()).byteLength).toBe((width - 2) * 8);
    expect(reads).toBe(1);
  });
});
