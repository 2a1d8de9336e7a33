// A model for each adapter: the operator as the version before it has it, and, where onnxruntime does
// not run that version, what it meant, said by operators of today.

import {
  attr,
  Builder,
  Graph,
  type Model,
  tensorType,
  type Value,
} from '../../../src/graph/index.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import type { Sketch } from '../../helpers/rewriting.ts';

type Build = (s: Sketch, model: Model) => Value | Value[];

export interface UpgradeCase {
  /** `Op:version` of the adapters it goes through. */
  readonly adapters: readonly string[];
  readonly from: number;
  readonly to?: number;
  readonly build: Build;
  /** The same function at opset 21; left out where onnxruntime runs the old form. */
  readonly meaning?: Build;
  /** Operators of the lifted model, in order. */
  readonly ops?: readonly string[];
}

const floats = (...values: number[]) => Tensor.of('float32', [values.length], values);

const ARITHMETIC = ['Add', 'Sub', 'Mul', 'Div', 'Pow'];
const COMPARISONS = ['Greater', 'Less'];
const LOGICAL = ['And', 'Or', 'Xor'];

/** x[2, 3, 4, 5] with y[3, 4], which stands at axis 1. */
const broadcasts = [
  ...ARITHMETIC.map((op) => [op, 'float32', 'float32'] as const),
  ...COMPARISONS.map((op) => [op, 'float32', 'bool'] as const),
  ...LOGICAL.map((op) => [op, 'bool', 'bool'] as const),
  ['Equal', 'int64', 'bool'] as const,
].map(([op, dtype]): UpgradeCase => {
  const operands = (s: Sketch): [Value, Value] => {
    const raw = [s.input('x', [2, 3, 4, 5]), s.input('y', [3, 4])] as const;
    const positive = raw.map((v) => s.g.op('Exp', [v]));
    const [x, y] = positive as [Value, Value];
    if (dtype === 'float32') return [x, y];
    const to = dtype === 'bool' ? 9 : 7;
    return [
      s.g.op('Cast', [s.g.op('Floor', [x])], { to }),
      s.g.op('Cast', [s.g.op('Floor', [y])], { to }),
    ];
  };
  return {
    adapters: [`${op}:7`],
    from: 6,
    build: (s) => s.g.op(op, operands(s), { broadcast: 1, axis: 1 }),
    meaning: (s) => {
      const [x, y] = operands(s);
      return s.g.op(op, [x, s.g.op('Unsqueeze', [y, s.ints(2)])]);
    },
  };
});

const REDUCTIONS = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSumSquare',
  'ReduceSum',
];

const reductions = REDUCTIONS.map((op): UpgradeCase => {
  const version = op === 'ReduceSum' ? 13 : 18;
  return {
    adapters: [`${op}:${version}`],
    from: version - 2,
    build(s) {
      const x = s.g.op('Exp', [s.input('x', [2, 3, 4])]);
      const some = s.g.op(op, [x], { axes: [0, -1], keepdims: 0 });
      return [some, s.g.op(op, [x]), s.g.op(op, [x], { axes: [1] })];
    },
  };
});

const SHAPES = [[2, 3, 4, 5], [2, 6, 1, 1], [7]] as const;

const softmaxes = ['Softmax', 'LogSoftmax', 'Hardmax'].map(
  (op): UpgradeCase => ({
    adapters: [`${op}:13`],
    from: 11,
    build: (s) =>
      SHAPES.flatMap((shape, i) => {
        const x = s.input(`x${i}`, [['batch', shape[0]], ...shape.slice(1)]);
        const axes = shape.length === 1 ? [0, -1] : [undefined, 0, 1, -1, -2];
        return axes.map((axis) => s.g.op(op, [x], { axis }));
      }),
  }),
);

const image = (s: Sketch) => s.input('x', [2, 3, 4, 6]);

const resizes: UpgradeCase[] = [
  {
    adapters: ['Upsample:7', 'Upsample:9', 'Upsample:10', 'Resize:11', 'Resize:13'],
    from: 1,
    build: (s) =>
      s.g.op('Upsample', [image(s)], {
        height_scale: attr.float(2),
        width_scale: 1.5,
        mode: 'nearest',
      }),
    meaning: (s) =>
      s.g.op('Resize', [image(s), undefined, s.g.constant('s', floats(1, 1, 2, 1.5))], {
        mode: 'nearest',
        nearest_mode: 'floor',
        coordinate_transformation_mode: 'asymmetric',
      }),
    ops: ['Resize'],
  },
  ...['nearest', 'linear'].map(
    (mode): UpgradeCase => ({
      adapters: ['Upsample:9', 'Upsample:10', 'Resize:11'],
      from: 7,
      build: (s) => s.g.op('Upsample', [image(s)], { scales: attr.floats([1, 1, 2.3, 1.7]), mode }),
    }),
  ),
  ...[
    ['nearest', [1, 1, 2.3, 1.7]] as const,
    ['nearest', [1, 1, 0.6, 0.4]] as const,
    ['linear', [1, 1, 0.6, 1.7]] as const,
  ].map(
    ([mode, scales]): UpgradeCase => ({
      adapters: ['Resize:11'],
      from: 10,
      build: (s) => s.g.op('Resize', [image(s), s.g.constant('s', floats(...scales))], { mode }),
    }),
  ),
  {
    adapters: ['Resize:11'],
    from: 10,
    to: 11,
    build: (s) => s.g.op('Resize', [image(s), s.g.constant('s', floats(1, 1, 2, 2))]),
  },
  {
    adapters: ['Resize:13'],
    from: 11,
    build(s) {
      const empty = s.g.constant('e', floats());
      const sizes = s.ints(2, 3, 7, 5);
      return s.g.op('Resize', [image(s), empty, empty, sizes], {
        mode: 'nearest',
        nearest_mode: 'floor',
        coordinate_transformation_mode: 'tf_half_pixel_for_nn',
      });
    },
  },
];

/** Weights of a recurrent operator over x [5, 2, 3], hidden size 4. */
function recurrent(s: Sketch, op: string, gates: number, attrs: Record<string, number | string>) {
  const inputs = [
    s.input('x', [5, 2, 3]),
    s.weight([1, gates * 4, 3]),
    s.weight([1, gates * 4, 4]),
  ];
  return s.g.ops(op, inputs, 2, { hidden_size: 4, ...attrs });
}

const recurrents: UpgradeCase[] = (
  [
    ['RNN', 1, ['RNN:7']],
    ['LSTM', 4, ['LSTM:7']],
    ['GRU', 3, ['GRU:3', 'GRU:7']],
  ] as const
).map(([op, gates, adapters]) => ({
  adapters,
  from: 1,
  build: (s) =>
    recurrent(s, op, gates, {
      output_sequence: 1,
      ...(op === 'GRU' ? { direction: 'foward' } : {}),
    }),
  meaning: (s) => recurrent(s, op, gates, {}),
}));

/** Sums along the sequence: state' = state + x, output = state'. */
function cumulativeBody(): Graph {
  const body = new Graph('body');
  const inner = new Builder(body);
  const type = tensorType('float32', [3]);
  const sum = inner.op('Add', [inner.input('state', type), inner.input('x_step', type)]);
  body.outputs.push(sum, inner.op('Identity', [sum]));
  for (const value of body.outputs) value.type = type;
  return body;
}

const scan: UpgradeCase = {
  adapters: ['Scan:9'],
  from: 8,
  build(s) {
    const body = cumulativeBody();
    const inputs = [undefined, s.input('state0', [2, 3]), s.input('x', [2, 5, 3])];
    return s.g.ops('Scan', inputs, 2, { body, num_scan_inputs: 1, directions: [1] });
  },
};

const norms: UpgradeCase[] = [
  {
    adapters: ['BatchNormalization:7'],
    from: 1,
    build: (s) =>
      s.g.op(
        'BatchNormalization',
        [image(s), s.weight([3]), s.weight([3]), s.weight([3]), s.positive([3])],
        {
          is_test: 1,
          spatial: 1,
          consumed_inputs: [0, 0, 0, 1, 1],
        },
      ),
    meaning: (s) =>
      s.g.op('BatchNormalization', [
        image(s),
        s.weight([3]),
        s.weight([3]),
        s.weight([3]),
        s.positive([3]),
      ]),
    ops: ['BatchNormalization'],
  },
  {
    adapters: ['BatchNormalization:9'],
    from: 7,
    build(s) {
      const weights = [s.weight([3, 4, 6]), s.weight([3, 4, 6]), s.weight([3, 4, 6])];
      const inputs = [image(s), ...weights, s.positive([3, 4, 6])];
      return s.g.op('BatchNormalization', inputs, { spatial: 0 });
    },
  },
  {
    adapters: ['BatchNormalization:14'],
    from: 9,
    build(s) {
      const inputs = [image(s), s.weight([3]), s.weight([3]), s.weight([3]), s.positive([3])];
      return s.g.ops('BatchNormalization', inputs, 5)[0] as Value;
    },
    meaning: (s) =>
      s.g.op('BatchNormalization', [
        image(s),
        s.weight([3]),
        s.weight([3]),
        s.weight([3]),
        s.positive([3]),
      ]),
  },
  {
    adapters: ['Dropout:7', 'Dropout:12'],
    from: 6,
    build: (s) => s.g.op('Dropout', [image(s)], { is_test: 1, ratio: 0.3 }),
    meaning: (s) => s.g.op('Identity', [image(s)]),
  },
  {
    adapters: ['Dropout:10'],
    from: 7,
    build(s) {
      const [y, mask] = s.g.ops('Dropout', [image(s)], 2, { ratio: 0.3 }) as [Value, Value];
      return [y, s.g.op('Mul', [mask, y])];
    },
    // At inference nothing is dropped.
    meaning(s) {
      const x = image(s);
      return [s.g.op('Identity', [x]), s.g.op('Identity', [x])];
    },
  },
  {
    adapters: ['Gemm:7'],
    from: 6,
    build: (s) =>
      s.g.op('Gemm', [s.input('x', [2, 3]), s.weight([3, 4]), s.weight([4])], { broadcast: 1 }),
    meaning: (s) => s.g.op('Gemm', [s.input('x', [2, 3]), s.weight([3, 4]), s.weight([4])]),
  },
  {
    adapters: ['GroupNormalization:21'],
    from: 18,
    build: (s) =>
      s.g.op('GroupNormalization', [s.input('x', [2, 6, 5]), s.weight([3]), s.weight([3])], {
        num_groups: 3,
      }),
    meaning(s) {
      // Groups of two channels, by the definition.
      const x = s.input('x', [2, 6, 5]);
      const [scale, bias] = [s.weight([3]), s.weight([3])];
      const groups = s.g.op('Reshape', [x, s.ints(2, 3, -1)]);
      const mean = s.g.op('ReduceMean', [groups, s.ints(2)]);
      const centred = s.g.op('Sub', [groups, mean]);
      const variance = s.g.op('ReduceMean', [s.g.op('Mul', [centred, centred]), s.ints(2)]);
      const deviation = s.g.op('Sqrt', [s.g.op('Add', [variance, s.scalar(1e-5)])]);
      const normal = s.g.op('Div', [centred, deviation]);
      const scaled = s.g.op('Mul', [normal, s.g.op('Unsqueeze', [scale, s.ints(1)])]);
      const shifted = s.g.op('Add', [scaled, s.g.op('Unsqueeze', [bias, s.ints(1)])]);
      return s.g.op('Reshape', [shifted, s.ints(2, 6, 5)]);
    },
  },
  {
    adapters: ['MeanVarianceNormalization:9'],
    from: 1,
    build(s) {
      const x = image(s);
      const op = 'MeanVarianceNormalization';
      return [s.g.op(op, [x]), s.g.op(op, [x], { across_channels: 1, normalize_variance: 1 })];
    },
    meaning(s) {
      const x = image(s);
      const op = 'MeanVarianceNormalization';
      return [s.g.op(op, [x], { axes: [2, 3] }), s.g.op(op, [x], { axes: [1, 2, 3] })];
    },
  },
];

const layouts: UpgradeCase[] = [
  {
    adapters: ['Concat:4'],
    from: 1,
    build: (s) => s.g.op('Concat', [s.input('x', [2, 3]), s.input('y', [2, 4])]),
    meaning: (s) => s.g.op('Concat', [s.input('x', [2, 3]), s.input('y', [2, 4])], { axis: 1 }),
  },
  {
    adapters: ['Pad:2', 'Pad:11'],
    from: 1,
    build: (s) => s.g.op('Pad', [image(s)], { paddings: [0, 0, 1, 2, 0, 0, 3, 0], value: 1.5 }),
    meaning: (s) => s.g.op('Pad', [image(s), s.ints(0, 0, 1, 2, 0, 0, 3, 0), s.scalar(1.5)]),
  },
  {
    adapters: ['Pad:11'],
    from: 10,
    build(s) {
      const x = image(s);
      const [zero, mirrored] = [
        { pads: [0, 0, 0, 1, 0, 0, 0, -2] },
        { pads: [0, 0, 1, 1, 0, 0, 2, 1] },
      ];
      return [s.g.op('Pad', [x], zero), s.g.op('Pad', [x], { ...mirrored, mode: 'reflect' })];
    },
  },
  {
    adapters: ['Reshape:5'],
    from: 1,
    build: (s) => s.g.op('Reshape', [image(s)], { shape: [0, -1, 6], consumed_inputs: [0] }),
    meaning: (s) => s.g.op('Reshape', [image(s), s.ints(0, -1, 6)]),
  },
  {
    adapters: ['Scatter:11'],
    from: 9,
    build(s) {
      const indices = s.g.constant('i', Tensor.of('int64', [2, 2], [2, 0, 1, 1]));
      return s.g.op('Scatter', [s.input('x', [3, 2]), indices, s.input('u', [2, 2])], { axis: 0 });
    },
    ops: ['ScatterElements'],
  },
  {
    adapters: ['Slice:10'],
    from: 7,
    build(s) {
      const x = image(s);
      const end = attr.ints([2n ** 63n - 1n, -1]);
      return [
        s.g.op('Slice', [x], { starts: [1, 0], ends: end, axes: [2, 3] }),
        s.g.op('Slice', [x], { starts: [0, 1, -3], ends: [2, 2, 9] }),
      ];
    },
  },
  {
    adapters: ['Split:2', 'Split:13', 'Split:18'],
    from: 1,
    build(s) {
      const sizes = s.g.constant('sizes', floats(1, 3));
      const x = image(s);
      return [
        ...s.g.ops('Split', [x, sizes], 2, { axis: 2 }),
        ...s.g.ops('Split', [x], 2, { axis: 3, split: [4, 2] }),
        ...s.g.ops('Split', [x], 3, { axis: 1 }),
      ];
    },
    meaning(s) {
      const x = image(s);
      return [
        ...s.g.ops('Split', [x, s.ints(1, 3)], 2, { axis: 2 }),
        ...s.g.ops('Split', [x, s.ints(4, 2)], 2, { axis: 3 }),
        ...s.g.ops('Split', [x], 3, { axis: 1, num_outputs: 3 }),
      ];
    },
  },
  {
    adapters: ['Squeeze:13', 'Unsqueeze:13'],
    from: 11,
    build(s) {
      const x = s.input('x', [1, 3, 1]);
      const wide = s.g.op('Unsqueeze', [x], { axes: [-1, 0] });
      return [wide, s.g.op('Squeeze', [x]), s.g.op('Squeeze', [x], { axes: [-1] })];
    },
  },
  {
    adapters: ['Tile:6'],
    from: 1,
    build: (s) => s.g.op('Tile', [image(s), s.ints(3), s.ints(2)]),
    meaning: (s) => s.g.op('Tile', [image(s), s.ints(1, 1, 3, 1)]),
  },
  {
    adapters: ['TopK:10'],
    from: 8,
    build: (s) => s.g.ops('TopK', [image(s)], 2, { k: 3, axis: -1 }),
  },
];

const others: UpgradeCase[] = [
  {
    adapters: ['PRelu:7'],
    from: 6,
    build: (s) => s.g.op('PRelu', [image(s), s.weight([3])]),
    meaning: (s) => s.g.op('PRelu', [image(s), s.g.op('Unsqueeze', [s.weight([3]), s.ints(1, 2)])]),
    ops: ['PRelu'],
  },
  {
    adapters: ['Clip:11'],
    from: 7,
    build(s) {
      const x = image(s);
      return [{ min: -0.5, max: 0.25 }, { min: attr.float(0) }, { max: 0.5 }, {}].map((bounds) =>
        s.g.op('Clip', [x], bounds),
      );
    },
  },
  {
    adapters: ['Cast:6'],
    from: 1,
    build: (s) => s.g.op('Cast', [image(s)], { to: 'INT32' }),
    meaning: (s) => s.g.op('Cast', [image(s)], { to: 6 }),
  },
  {
    adapters: ['Selu:6'],
    from: 1,
    build: (s) => s.g.op('Selu', [image(s)]),
    meaning: (s) => s.g.op('Selu', [image(s)], { alpha: 1.6732, gamma: 1.0507 }),
  },
  {
    adapters: ['DFT:20'],
    from: 17,
    build: (s) => [
      s.g.op('DFT', [s.input('x', [2, 4, 5, 1])]),
      s.g.op('DFT', [s.input('z', [2, 4, 5, 2])], { axis: 2, inverse: 1 }),
    ],
  },
  {
    adapters: ['GridSample:20'],
    from: 16,
    build(s) {
      const x = image(s);
      const grid = s.g.op('Tanh', [s.input('grid', [2, 3, 3, 2])]);
      return ['bilinear', 'nearest', 'bicubic'].map((mode) =>
        s.g.op('GridSample', [x, grid], { mode }),
      );
    },
  },
  {
    adapters: ['RoiAlign:16'],
    from: 10,
    to: 21,
    build(s) {
      const rois = s.g.constant('rois', Tensor.of('float32', [2, 4], [0, 0, 3, 3, 1, 0.5, 4, 3]));
      const attrs = { output_height: 2, output_width: 2, sampling_ratio: 2 };
      return s.g.op('RoiAlign', [image(s), rois, s.ints(0, 1)], attrs);
    },
  },
  {
    adapters: ['GlobalLpPool:2', 'LpPool:2'],
    from: 1,
    to: 21,
    build(s) {
      const x = image(s);
      return [
        s.g.op('GlobalLpPool', [x], { p: attr.float(3) }),
        s.g.op('LpPool', [x], { p: attr.float(2), kernel_shape: [2, 2] }),
      ];
    },
    meaning(s) {
      const x = image(s);
      return [
        s.g.op('GlobalLpPool', [x], { p: 3 }),
        s.g.op('LpPool', [x], { p: 2, kernel_shape: [2, 2] }),
      ];
    },
  },
];

const legacy: UpgradeCase[] = [
  {
    adapters: ['Affine:10'],
    from: 7,
    build: (s) => s.g.op('Affine', [image(s)], { alpha: 0.5, beta: attr.float(2) }),
  },
  {
    adapters: ['ParametricSoftplus:10', 'ScaledTanh:10', 'Scale:10'],
    from: 7,
    build(s) {
      const x = image(s);
      return [
        s.g.op('ParametricSoftplus', [x], { alpha: 0.5, beta: attr.float(2) }),
        s.g.op('ScaledTanh', [x], { alpha: 0.5, beta: attr.float(2) }),
        s.g.op('Scale', [x], { scale: 0.25 }),
      ];
    },
    meaning(s) {
      const x = image(s);
      const double = s.g.op('Mul', [x, s.scalar(2)]);
      const softplus = s.g.op('Log', [s.g.op('Add', [s.g.op('Exp', [double]), s.scalar(1)])]);
      return [
        s.g.op('Mul', [softplus, s.scalar(0.5)]),
        s.g.op('Mul', [s.g.op('Tanh', [double]), s.scalar(0.5)]),
        s.g.op('Mul', [x, s.scalar(0.25)]),
      ];
    },
  },
  {
    adapters: ['ImageScaler:10'],
    from: 7,
    build: (s) => s.g.op('ImageScaler', [image(s)], { scale: 0.5, bias: attr.floats([1, -2, 3]) }),
  },
  {
    adapters: ['Crop:10'],
    from: 7,
    build(s) {
      const x = image(s);
      return [
        s.g.op('Crop', [x], { border: [1, 1, 2, 0] }),
        s.g.op('Crop', [x], { border: [2, 1, 0, 0], scale: [2, 3] }),
      ];
    },
  },
  {
    adapters: ['DynamicSlice:10'],
    from: 9,
    build: (s) => s.g.op('DynamicSlice', [image(s), s.ints(1, 0), s.ints(3, 2), s.ints(2, 3)]),
    meaning: (s) => s.g.op('Slice', [image(s), s.ints(1, 0), s.ints(3, 2), s.ints(2, 3)]),
  },
];

export const CASES: readonly UpgradeCase[] = [
  ...broadcasts,
  ...reductions,
  ...softmaxes,
  ...resizes,
  ...recurrents,
  scan,
  ...norms,
  ...layouts,
  ...others,
  ...legacy,
];
