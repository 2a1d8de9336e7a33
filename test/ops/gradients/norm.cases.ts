import type { GradientCase } from '../../helpers/gradcheck.ts';

const at = (opset: number, text: string): string =>
  `<ir_version: 10, opset_import: ["" : ${opset}]> ${text}`;
const why = 'single: the statistics are float32';

export const cases: readonly GradientCase[] = [
  { text: 'g (T[2,3,4] x, T[4] s, T[4] b) => (T[2,3,4] y) { y = LayerNormalization(x, s, b) }' },
  {
    text: 'g (T[2,3,4] x, T[4] s, T[4] b) => (T[2,3,4] y) { y = LayerNormalization(x, s, b) }',
    single: why,
  },
  {
    text: 'g (T[2,3,4] x, T[3,4] s) => (T[2,3,4] y) { y = LayerNormalization<axis = 1>(x, s) }',
    single: why,
  },
  { text: at(23, 'g (T[2,3,4] x, T[4] s) => (T[2,3,4] y) { y = RMSNormalization(x, s) }') },
  {
    text: 'g (T[2,3,4,2] x, T[3] s, T[3] b) => (T[2,3,4,2] y) { y = InstanceNormalization(x, s, b) }',
  },
  {
    text: 'g (T[2,3,4] x, T[3] s, T[3] b) => (T[2,3,4] y) <T[3] m = {0.1, 0.2, 0.3}, T[3] v = {0.5, 1.5, 2.0}> { y = BatchNormalization(x, s, b, m, v) }',
  },
  {
    text: 'g (T[2,3,4] x, T[3] s, T[3] b) => (T[2,3,4] y) <T[3] m = {0.1, 0.2, 0.3}, T[3] v = {0.5, 1.5, 2.0}> { y, rm, rv = BatchNormalization<training_mode = 1>(x, s, b, m, v) }',
  },
  {
    text: 'g (T[3,2,2,3] x, T[2] s, T[2] b) => (T[3,2,2,3] y) <T[2] m = {0.1, 0.2}, T[2] v = {0.5, 1.5}> { y, rm, rv = BatchNormalization<training_mode = 1, epsilon = 0.1>(x, s, b, m, v) }',
  },
  {
    text: at(
      21,
      'g (T[2,4,3] x, T[4] s, T[4] b) => (T[2,4,3] y) { y = GroupNormalization<num_groups = 2>(x, s, b) }',
    ),
    single: why,
  },
  { text: 'g (T[2,3,4] x) => (T[2,3,4] y) { y = LpNormalization<axis = 1>(x) }' },
  { text: 'g (T[2,3,4] x) => (T[2,3,4] y) { y = LpNormalization<axis = -1, p = 1>(x) }' },
  {
    text: 'g (T[2,3,4,2] x) => (T[2,3,4,2] y) { y = MeanVarianceNormalization(x) }',
  },
  ...[3, 5].map((size) => ({
    text: `g (T[1,5,2,2] x) => (T[1,5,2,2] y) { y = LRN<size = ${size}, alpha = 0.5, beta = 0.6, bias = 1.5>(x) }`,
  })),
  { text: 'g (T[2,3] x) => (T[2,3] y) { y = Dropout(x) }' },
];
