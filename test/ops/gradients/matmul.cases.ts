import type { GradientCase } from '../../helpers/gradcheck.ts';

export const cases: readonly GradientCase[] = [
  { text: 'g (T[2,3] a, T[3,4] b) => (T[2,4] y) { y = MatMul(a, b) }' },
  { text: 'g (T[5,2,3] a, T[3,4] b) => (T[5,2,4] y) { y = MatMul(a, b) }' },
  { text: 'g (T[2,3] a, T[5,3,4] b) => (T[5,2,4] y) { y = MatMul(a, b) }' },
  { text: 'g (T[2,1,2,3] a, T[3,3,4] b) => (T[2,3,2,4] y) { y = MatMul(a, b) }' },
  { text: 'g (T[3] a, T[3,4] b) => (T[4] y) { y = MatMul(a, b) }' },
  { text: 'g (T[2,3] a, T[3] b) => (T[2] y) { y = MatMul(a, b) }' },
  { text: 'g (T[5,2,3] a, T[3] b) => (T[5,2] y) { y = MatMul(a, b) }' },
  { text: 'g (T[3] a, T[3] b) => (T y) { y = MatMul(a, b) }' },
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) => ({
      text: `g (T[${transA ? '3,2' : '2,3'}] a, T[${transB ? '4,3' : '3,4'}] b, T[4] c) => (T[2,4] y) { y = Gemm<alpha = 0.5, beta = 2.0, transA = ${transA}, transB = ${transB}>(a, b, c) }`,
    })),
  ),
  { text: 'g (T[2,3] a, T[3,4] b) => (T[2,4] y) { y = Gemm(a, b) }' },
  { text: 'g (T[2,3] a, T[3,4] b, T[2,1] c) => (T[2,4] y) { y = Gemm(a, b, c) }' },
];
