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

export const cases: readonly GradientCase[] = [
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
