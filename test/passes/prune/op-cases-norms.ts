// Small graphs for reductions and normalisations.

import { image, ms, type OpCase, project, read, tokens } from './op-cases.ts';

const REDUCTIONS =
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare';

const reductions: OpCase[] = [
  ...REDUCTIONS.split(' ').map(
    (op): OpCase => ({
      name: `${op} over space`,
      units: [8],
      build(s) {
        const x = s.g.op('Sigmoid', [image(s)]);
        return project(s, s.g.op(op, [x, s.ints(2, -1)], { keepdims: 0 }));
      },
    }),
  ),
  ...['ReduceL1', 'ReduceL2', 'ReduceSum', 'ReduceSumSquare'].map(
    (op): OpCase => ({
      name: `${op} over channels`,
      units: [8],
      build: (s) => s.g.op(op, [image(s), s.ints(1)]),
    }),
  ),
  ...['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceLogSumExp'].map(
    (op): OpCase => ({
      name: `${op} over channels`,
      units: [8],
      mixed: true,
      build: (s) => s.g.op(op, [image(s), s.ints(1)]),
    }),
  ),
];

const norms: OpCase[] = [
  {
    name: 'BatchNormalization',
    units: [8],
    build(s) {
      const inputs = [s.weight([8]), s.weight([8]), s.weight([8]), s.positive([8])];
      return read(s, s.g.op('BatchNormalization', [image(s), ...inputs]), 8);
    },
  },
  {
    name: 'InstanceNormalization',
    units: [8],
    build: (s) =>
      read(s, s.g.op('InstanceNormalization', [image(s), s.weight([8]), s.weight([8])]), 8),
  },
  {
    name: 'GroupNormalization: whole groups',
    units: [4],
    build: (s) =>
      read(
        s,
        s.g.op('GroupNormalization', [image(s), s.weight([8]), s.weight([8])], { num_groups: 4 }),
        8,
      ),
  },
  {
    name: 'GroupNormalization of opset 18',
    opset: 18,
    units: [4],
    build: (s) =>
      read(
        s,
        s.g.op('GroupNormalization', [image(s), s.weight([4]), s.weight([4])], { num_groups: 4 }),
        8,
      ),
  },
  {
    name: 'GroupNormalization of one group',
    units: [8],
    mixed: true,
    build: (s) =>
      read(
        s,
        s.g.op('GroupNormalization', [image(s), s.weight([8]), s.weight([8])], { num_groups: 1 }),
        8,
      ),
  },
  {
    name: 'LayerNormalization',
    units: [8],
    mixed: true,
    build: (s) =>
      project(s, s.g.op('LayerNormalization', [tokens(s), s.weight([8]), s.weight([8])])),
  },
  {
    name: 'RMSNormalization',
    opset: 23,
    units: [8],
    mixed: true,
    build: (s) => project(s, s.g.op('RMSNormalization', [tokens(s), s.weight([8])])),
  },
  {
    name: 'LpNormalization',
    units: [8],
    mixed: true,
    build: (s) => project(s, s.g.op('LpNormalization', [tokens(s)])),
  },
  {
    name: 'MeanVarianceNormalization over space',
    units: [8],
    build: (s) => read(s, s.g.op('MeanVarianceNormalization', [image(s)], { axes: [0, 2, 3] }), 8),
  },
  {
    name: 'LRN',
    units: [8],
    mixed: true,
    build: (s) => read(s, s.g.op('LRN', [image(s)], { size: 3 }), 8),
  },
  ...['SkipLayerNormalization', 'SkipSimplifiedLayerNormalization'].map(
    (op): OpCase => ({
      name: op,
      units: [8],
      mixed: true,
      build(s) {
        const [x, skip] = [tokens(s), tokens(s, 8, [2, 4], 'y')];
        return project(s, s.g.op(op, [x, skip, s.weight([8])], {}, ms));
      },
    }),
  ),
  {
    name: 'SimplifiedLayerNormalization',
    units: [8],
    mixed: true,
    build: (s) => project(s, s.g.op('SimplifiedLayerNormalization', [tokens(s), s.weight([8])])),
  },
  ...['Gelu', 'QuickGelu'].map(
    (op): OpCase => ({
      name: `${op} of com.microsoft`,
      units: [8],
      build: (s) => project(s, s.g.op(op, [tokens(s)], {}, ms)),
    }),
  ),
  ...['BiasGelu', 'FastGelu'].map(
    (op): OpCase => ({
      name: `${op} of com.microsoft`,
      units: [8],
      build: (s) => project(s, s.g.op(op, [tokens(s), s.weight([8])], {}, ms)),
    }),
  ),
];

export const NORM_CASES: readonly OpCase[] = [...reductions, ...norms];
