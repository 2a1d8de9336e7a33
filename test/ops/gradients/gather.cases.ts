import { Tensor } from '../../../src/tensor/tensor.ts';
import type { GradientCase } from '../../helpers/gradcheck.ts';

const ints = (shape: number[], values: number[]) => Tensor.int64(values).reshape(shape);

export const cases: readonly GradientCase[] = [
  {
    text: 'g (T[5,3] x, int64[2,2] i) => (T[2,2,3] y) { y = Gather(x, i) }',
    fixed: { i: ints([2, 2], [0, 3, 3, -1]) },
  },
  {
    text: 'g (T[2,5,3] x, int64[4] i) => (T[2,4,3] y) { y = Gather<axis = 1>(x, i) }',
    fixed: { i: ints([4], [0, 3, 3, 1]) },
  },
  { text: 'g (T[2,5,3] x) => (T[2,5] y) <int64 i = {1}> { y = Gather<axis = -1>(x, i) }' },
  {
    text: 'g (T[3,3] x, int64[2,3] i) => (T[2,3] y) { y = GatherElements(x, i) }',
    fixed: { i: ints([2, 3], [1, 2, 0, 2, 2, 0]) },
  },
  {
    text: 'g (T[3,4,2] x, int64[2,2] i) => (T[2,2] y) { y = GatherND(x, i) }',
    fixed: { i: ints([2, 2], [0, 1, 2, 3]) },
  },
  ...['none', 'add'].flatMap((reduction) => [
    {
      text: `<ir_version: 8, opset_import: ["" : 18]> g (T[3,3] x, int64[2,3] i, T[2,3] u) => (T[3,3] y) { y = ScatterElements<reduction = "${reduction}">(x, i, u) }`,
      fixed: { i: ints([2, 3], [1, 2, 0, 2, 1, 1]) },
    },
    {
      text: `<ir_version: 8, opset_import: ["" : 18]> g (T[3,3] x, int64[2,1] i, T[2,3] u) => (T[3,3] y) { y = ScatterND<reduction = "${reduction}">(x, i, u) }`,
      fixed: { i: ints([2, 1], [0, 2]) },
    },
  ]),
  {
    text: 'g (T[3,4] x) => (T[3,2] y) <bool[4] k = {0, 1, 0, 1}> { y = Compress<axis = 1>(x, k) }',
  },
  { text: 'g (T[2,3] x) => (T[3] y) <bool[5] k = {1, 1, 0, 0, 1}> { y = Compress(x, k) }' },
  { text: 'g (T[2,3] x) => (T[6] y) { y = Unique(x) }' },
  { text: 'g (T[3,2] x) => (T[3,2] y) { y = Unique<axis = 0>(x) }' },
  { text: 'g (T[3,5] x) => (T[3,2] y, int64[3,2] i) <int64[1] k = {2}> { y, i = TopK(x, k) }' },
];
