import type { GradientCase } from '../../helpers/gradcheck.ts';

const pool = (op: string, x: string, y: string, attrs = '', rest = {}): GradientCase => ({
  text: `<ir_version: 9, opset_import: ["" : 19]> g (T[${x}] x) => (T[${y}] y) { y = ${op}${attrs && `<${attrs}>`}(x) }`,
  ...rest,
});

/** Averages are linear: any step. */
const LINEAR = { step: 0.5 } as const;
/** A small step does not change who wins. */
const SHARP = { step: 2e-3 } as const;

export const cases: readonly GradientCase[] = [
  pool('MaxPool', '2,3,6,6', '2,3,3,3', 'kernel_shape = [2, 2], strides = [2, 2]', SHARP),
  pool('MaxPool', '1,2,5,6', '1,2,5,6', 'kernel_shape = [3, 3], pads = [1, 1, 1, 1]', SHARP),
  pool('MaxPool', '1,2,7,7', '1,2,3,3', 'kernel_shape = [3, 3], dilations = [2, 2]', SHARP),
  pool('MaxPool', '1,2,8', '1,2,4', 'kernel_shape = [3], strides = [2], ceil_mode = 1', SHARP),
  pool('AveragePool', '2,3,6,6', '2,3,3,3', 'kernel_shape = [2, 2], strides = [2, 2]', LINEAR),
  pool('AveragePool', '1,2,5,6', '1,2,5,6', 'kernel_shape = [3, 3], pads = [1, 1, 1, 1]', LINEAR),
  pool(
    'AveragePool',
    '1,2,5,6',
    '1,2,5,6',
    'kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1',
    LINEAR,
  ),
  pool('AveragePool', '1,2,7,7', '1,2,3,3', 'kernel_shape = [3, 3], dilations = [2, 2]', LINEAR),
  pool('AveragePool', '1,2,6', '1,2,3', 'kernel_shape = [3], strides = [2], ceil_mode = 1', LINEAR),
  pool(
    'AveragePool',
    '1,2,5,5',
    '1,2,3,3',
    'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"',
    LINEAR,
  ),
  {
    text: 'g (T[1,1,2,2] x) => (T[1,1,4,4] y) <int64[1,1,2,2] i = {5, 7, 13, 10}> { y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(x, i) }',
    ...LINEAR,
  },
  pool('LpPool', '1,2,6,6', '1,2,3,3', 'kernel_shape = [2, 2], strides = [2, 2], p = 3'),
  pool('GlobalAveragePool', '2,3,4,5', '2,3,1,1', '', LINEAR),
  pool('GlobalMaxPool', '2,3,4,5', '2,3,1,1', '', SHARP),
  pool('GlobalLpPool', '2,3,4', '2,3,1', 'p = 3'),
];
