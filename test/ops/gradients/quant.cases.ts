import { Tensor } from '../../../src/tensor/tensor.ts';
import type { GradientCase } from '../../helpers/gradcheck.ts';

const q = Tensor.of('int8', [2, 3], [-128, -7, 0, 3, 64, 127]);

/** Steps that are fine beside those of the check: rounding hardly shows. */
const fine = (shape: number[], axis = 0): Readonly<Record<string, Tensor>> => ({
  s: Tensor.of(
    'float32',
    shape,
    Array.from({ length: shape[axis] ?? 1 }, (_, i) => 1e-4 + i * 1e-5),
  ),
});

const at = '<ir_version: 10, opset_import: ["" : 21]>';
const pair = 'q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)';
const clip = (low: number, high: number) =>
  `g (float[3,4] x) => (float[3,4] y) <float a = {${low}}, float b = {${high}}> { y = Clip(x, a, b) }`;
const why = 'scales are float32';

/** Compared with cutting off where the integers end. */
export const cases: readonly GradientCase[] = [
  // int8, scale 0.005: -0.64 … 0.635
  {
    text: `${at} g (float[3,4] x) => (float[3,4] y) <float s = {0.005}, int8 z = {0}> { ${pair} }`,
    surrogate: clip(-0.64, 0.635),
    single: why,
    step: 1e-2,
  },
  // uint8 with zero point 100: -0.5 … 0.775
  {
    text: `${at} g (float[3,4] x) => (float[3,4] y) <float s = {0.005}, uint8 z = {100}> { ${pair} }`,
    surrogate: clip(-0.5, 0.775),
    single: why,
    step: 1e-2,
  },
  // One scale per column; what moves the integers is walked through.
  {
    text: `${at} g (float[2,3] x) => (float[3,2] y) <float[3] s = {0.001, 0.004, 0.01}, int8[3] z = {0, 10, 0}> { q = QuantizeLinear<axis = 1>(x, s, z) t = Transpose<perm = [1, 0]>(q) y = DequantizeLinear<axis = 0>(t, s, z) }`,
    surrogate:
      '<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] x) => (float[3,2] y) <float[3] a = {-0.128, -0.552, -1.28}, float[3] b = {0.127, 0.468, 1.27}> { m = Max(x, a) n = Min(m, b) y = Transpose<perm = [1, 0]>(n) }',
    single: why,
    step: 1e-2,
  },
  {
    text: `${at} g (float[3,4] x) => (float[3,4] y) { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }`,
    surrogate: 'g (float[3,4] x) => (float[3,4] y) { y = Identity(x) }',
    single: why,
    step: 0.1,
  },
  { text: 'g (int8[2,3] q, T s) => (T[2,3] y) { y = DequantizeLinear(q, s) }', fixed: { q } },
  {
    text: 'g (int8[2,3] q, T[3] s) => (T[2,3] y) { y = DequantizeLinear<axis = 1>(q, s) }',
    fixed: { q },
  },
  {
    text: 'g (int8[2,3] q, T[2] s, int8[2] z) => (T[2,3] y) { y = DequantizeLinear<axis = -2>(q, s, z) }',
    fixed: { q, z: Tensor.of('int8', [2], [5, -9]) },
  },
  {
    text: `<ir_version: 10, opset_import: ["" : 21]> g (T[2,3] x, float s) => (T[2,3] y) <int16 z = {-3}> {
      c = QuantizeLinear(x, s, z)
      y = DequantizeLinear(c, s, z)
    }`,
    fixed: fine([]),
    single: 'QuantizeLinear takes no doubles',
    step: 0.5,
  },
  {
    text: `<ir_version: 10, opset_import: ["" : 21]> g (T[2,3] x, float[3] s) => (T[2,3] y) <int16[3] z = {0, 0, 0}> {
      c = QuantizeLinear<axis = 1>(x, s, z)
      y = DequantizeLinear<axis = 1>(c, s, z)
    }`,
    fixed: fine([3]),
    single: 'QuantizeLinear takes no doubles',
    step: 0.5,
  },
];
