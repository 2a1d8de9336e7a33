import type { GradientCase } from '../../helpers/gradcheck.ts';

const at = (opset: number, text: string): GradientCase => ({
  text: `<ir_version: 9, opset_import: ["" : ${opset}]> ${text}`,
  // Linear.
  step: 0.5,
});

export const cases: readonly GradientCase[] = [
  at(20, 'g (T[2,5,1] x) => (T[2,5,2] y) { y = DFT(x) }'),
  at(20, 'g (T[2,5,2] x) => (T[2,5,2] y) { y = DFT<inverse = 1>(x) }'),
  at(20, 'g (T[2,6,1] x) => (T[2,4,2] y) { y = DFT<onesided = 1>(x) }'),
  at(20, 'g (T[2,5,2] x) => (T[2,8,2] y) <int64 n = {8}> { y = DFT(x, n) }'),
  at(20, 'g (T[4,3,2] x) => (T[3,3,2] y) <int64 n = {3}, int64 a = {0}> { y = DFT(x, n, a) }'),
  at(17, 'g (T[2,5,1] x) => (T[2,5,2] y) { y = DFT<axis = 1>(x) }'),
  ...['<onesided = 1>', '<onesided = 0>'].map((attrs, i) =>
    at(
      20,
      `g (T[2,10,1] x) => (T[2,4,${i ? 4 : 3},2] y) <int64 s = {2}, T[4] w = {0.1, 0.5, 1.0, 0.2}> { y = STFT${attrs}(x, s, w) }`,
    ),
  ),
];
