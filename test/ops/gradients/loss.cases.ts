import { Tensor } from '../../../src/tensor/tensor.ts';
import type { GradientCase } from '../../helpers/gradcheck.ts';

const at = '<ir_version: 8, opset_import: ["" : 18]>';
const labels = { i: Tensor.int64([0, 4, 2, 1, 1, 3]).reshape([2, 3]) };
const plain = { i: Tensor.int64([3, 0]) };
const weights = '<T[5] w = {0.5, 1.0, 2.0, 0.25, 1.5}>';
const y = (reduction: string) => (reduction === 'none' ? 'T[2,3] y' : 'T y');

const losses = ['NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'].flatMap((op) =>
  ['none', 'sum', 'mean'].flatMap((reduction): GradientCase[] => [
    {
      text: `${at} g (T[2,5,3] x, int64[2,3] i) => (${y(reduction)}) { y = ${op}<reduction = "${reduction}", ignore_index = 1>(x, i) }`,
      fixed: labels,
    },
    {
      text: `${at} g (T[2,5,3] x, int64[2,3] i) => (${y(reduction)}) ${weights} { y = ${op}<reduction = "${reduction}">(x, i, w) }`,
      fixed: labels,
    },
  ]),
);

export const cases: readonly GradientCase[] = [
  ...losses,
  {
    text: `${at} g (T[2,5] x, int64[2] i) => (T y) { y = SoftmaxCrossEntropyLoss(x, i) }`,
    fixed: plain,
  },
  {
    text: `${at} g (T[2,5] x, int64[2] i) => (T y, T[2,5] p) { y, p = SoftmaxCrossEntropyLoss(x, i) }`,
    fixed: plain,
  },
];
