import type { GradientCase } from '../../helpers/gradcheck.ts';

const unary = (op: string, x: readonly [number, number] = [-2, 2]): GradientCase => ({
  text: `g (T[3,4] x) => (T[3,4] y) { y = ${op}(x) }`,
  range: { x },
});

export const cases: readonly GradientCase[] = [
  unary('LeakyRelu'),
  unary('LeakyRelu<alpha = 0.3>'),
  unary('ThresholdedRelu<alpha = 0.5>', [-0.4, 0.4]),
  unary('ThresholdedRelu<alpha = 0.5>', [0.6, 1]),
  unary('Elu<alpha = 0.7>'),
  unary('Celu<alpha = 0.7>'),
  unary('Selu'),
  unary('HardSigmoid'),
  unary('HardSwish'),
  unary('Softplus'),
  unary('Softsign'),
  { ...unary('Shrink<lambd = 0.01, bias = 0.0>'), single: 'the kernel subtracts in float' },
  {
    text: '<ir_version: 8, opset_import: ["" : 18]> g (T[3,4] x) => (T[3,4] y) { y = Mish(x) }',
  },
  unary('Erf'),
  unary('Softmax'),
  unary('LogSoftmax'),
  { text: 'g (T[2,3,4] x) => (T[2,3,4] y) { y = Softmax<axis = 1>(x) }' },
  { text: 'g (T[2,3,4] x) => (T[2,3,4] y) { y = LogSoftmax<axis = 0>(x) }' },
  ...['none', 'tanh'].map((form) => ({
    text: `<ir_version: 9, opset_import: ["" : 20]> g (T[3,4] x) => (T[3,4] y) { y = Gelu<approximate = "${form}">(x) }`,
  })),
  {
    text: '<ir_version: 12, opset_import: ["" : 24]> g (T[3,4] x) => (T[3,4] y) { y = Swish<alpha = 1.5>(x) }',
  },
  {
    text: 'g (T[3,4] x) => (T[3,4] y) <T low = {-0.5}, T high = {0.5}> { y = Clip(x, low, high) }',
    range: { x: [-0.45, 0.45] },
  },
  {
    text: 'g (T[3,4] x) => (T[3,4] y) <T low = {0.0}> { y = Clip(x, low) }',
  },
  { text: 'g (T[2,3,4] x, T[3,1] a) => (T[2,3,4] y) { y = PRelu(x, a) }' },
];
