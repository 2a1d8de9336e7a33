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
  ...['Sin', 'Cos', 'Tan', 'Sinh', 'Cosh', 'Atan', 'Asinh'].map((op) => unary(op)),
  ...['Asin', 'Acos', 'Atanh'].map((op) => unary(op, { range: { x: [-0.8, 0.8] } })),
  unary('Acosh', { range: { x: [1.5, 3] } }),
  { text: 'g (T[2,3] a, T[3] b) => (T[2,3] y) { y = Pow(a, b) }', range: { a: [0.5, 2] } },
  { text: 'g (T[2,3] a) => (T[2,3] y) <float b = {3}> { y = Pow(a, b) }' },
  { text: 'g (T[2,3] a) => (T[2,3] y) <int64 b = {2}> { y = Pow(a, b) }' },
  ...['Min', 'Max'].map((op) => ({
    text: `g (T[2,3] a, T[3] b, T c) => (T[2,3] y) { y = ${op}(a, b, c) }`,
  })),
  {
    text: 'g (T[2,3] a, T[3] b) => (T[2,3] y) { c = Greater(a, b) y = Where(c, a, b) }',
  },
  {
    text: 'g (T[2,3] a) => (T[2,3] y) <T m = {0.7}> { y = Mod<fmod = 1>(a, m) }',
    range: { a: [0.1, 0.6] },
  },
  { text: 'g (T[2,3] a) => (float[2,3] y) { y = Cast<to = 1>(a) }', single: 'casts to float' },
  {
    text: 'g (T[2,3] a, float b) => (float[2,3] y) { y = CastLike(a, b) }',
    single: 'casts to float',
  },
  ...['Sqrt', 'Log', 'Reciprocal'].map((op) => unary(op, POSITIVE)),
];
