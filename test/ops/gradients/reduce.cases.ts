import type { GradientCase } from '../../helpers/gradcheck.ts';

const POSITIVE = { range: { x: [0.5, 2] } } as const;

const reductions = (op: string, rest: Omit<GradientCase, 'text'> = {}): GradientCase[] => [
  { text: `g (T[2,3,4] x) => (T[2,1,4] y) { y = ${op}<axes = [1]>(x) }`, ...rest },
  { text: `g (T[2,3,4] x) => (T[3] y) { y = ${op}<axes = [-1, 0], keepdims = 0>(x) }`, ...rest },
  { text: `g (T[2,3] x) => (T y) { y = ${op}<keepdims = 0>(x) }`, ...rest },
];

export const cases: readonly GradientCase[] = [
  { text: 'g (T[2,3,4] x) => (T[2,1,4] y) <int64[1] a = {1}> { y = ReduceSum(x, a) }' },
  {
    text: 'g (T[2,3,4] x) => (T[3] y) <int64[2] a = {-1, 0}> { y = ReduceSum<keepdims = 0>(x, a) }',
  },
  { text: 'g (T[2,3] x) => (T y) { y = ReduceSum<keepdims = 0>(x) }' },
  ...['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceSumSquare', 'ReduceL1', 'ReduceL2'].flatMap(
    (op) => reductions(op),
  ),
  ...['ReduceLogSumExp', 'ReduceProd'].flatMap((op) => reductions(op)),
  ...reductions('ReduceLogSum', POSITIVE),
];
