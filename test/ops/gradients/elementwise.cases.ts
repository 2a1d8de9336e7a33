import type { GradientCase } from '../../helpers/gradcheck.ts';

const unary = (op: string, rest: Omit<GradientCase, 'text'> = {}): GradientCase => ({
  text: `g (T[2,3] x) => (T[2,3] y) { y = ${op}(x) }`,
  ...rest,
});

const POSITIVE = { range: { x: [0.5, 2] } } as const;

export const cases: readonly GradientCase[] = [
  ...['Add', 'Sub', 'Mul'].flatMap((op) => [
    { text: `g (T[2,3] a, T[2,3] b) => (T[2,3] y) { y = ${op}(a, b) }` },
    { text: `g (T[4,1,3] a, T[2,1] b) => (T[4,2,3] y) { y = ${op}(a, b) }` },
    { text: `g (T a, T[2,2] b) => (T[2,2] y) { y = ${op}(a, b) }` },
  ]),
  {
    text: 'g (T[4,1,3] a, T[2,1] b) => (T[4,2,3] y) { y = Div(a, b) }',
    range: { b: [0.5, 2] },
  },
  { text: 'g (T[2,3] a) => (T[2,3] y) { y = Mul(a, a) }' },
  { text: 'g (T[2,3] a, T[3] b, T[2,1] c) => (T[2,3] y) { y = Sum(a, b, c) }' },
  { text: 'g (T[2,3] a, T[3] b, T[2,1] c) => (T[2,3] y) { y = Mean(a, b, c) }' },
  ...['Neg', 'Identity', 'Abs', 'Exp', 'Sigmoid', 'Tanh', 'Relu'].map((op) => unary(op)),
  ...['Sqrt', 'Log', 'Reciprocal'].map((op) => unary(op, POSITIVE)),
];
