import type { GradientCase } from '../../helpers/gradcheck.ts';

const x = 'T[2,3,4] x';
const resized = (attrs: string, sizes: string, out: string): GradientCase => ({
  text: `g (T[1,2,3,4] x) => (T[${out}] y) <int64[4] s = {${sizes}}> { y = Resize<${attrs}>(x, , , s) }`,
});

export const cases: readonly GradientCase[] = [
  { text: `g (${x}) => (T[6,4] y) <int64[2] s = {-1, 4}> { y = Reshape(x, s) }` },
  { text: `g (${x}) => (T[2,12] y) { y = Flatten(x) }` },
  { text: 'g (T[2,1,3] x) => (T[2,3] y) <int64[1] a = {1}> { y = Squeeze(x, a) }' },
  { text: `g (${x}) => (T[2,1,3,4] y) <int64[1] a = {1}> { y = Unsqueeze(x, a) }` },
  { text: `g (${x}) => (T[4,3,2] y) { y = Transpose(x) }` },
  { text: `g (${x}) => (T[3,4,2] y) { y = Transpose<perm = [1, 2, 0]>(x) }` },
  { text: 'g (T[2,3] a, T[2,1] b, T[2,2] c) => (T[2,6] y) { y = Concat<axis = -1>(a, b, c) }' },
  { text: 'g (T[2,3] a) => (T[4,3] y) { y = Concat<axis = 0>(a, a) }' },
  {
    text: 'g (T[2,5] x) => (T[2,2] a, T[2,3] b) <int64[2] s = {2, 3}> { a, b = Split<axis = 1>(x, s) }',
  },
  {
    text: 'g (T[2,5] x) => (T[2,3] b) <int64[2] s = {2, 3}> { a, b = Split<axis = 1>(x, s) }',
  },
  ...[
    ['1, 0', '3, 2', '1, 2', '1, 1', '2,2,2'],
    ['-1, 0', '-5, 4', '2, 1', '-2, 2', '2,2,2'],
    ['3', '-10', '-1', '-1', '2,3,4'],
    ['0', '100', '1', '2', '2,2,4'],
  ].map(([starts, ends, axes, steps, out]) => {
    const count = starts?.split(',').length;
    const list = (name: string, values?: string) => `int64[${count}] ${name} = {${values}}`;
    const lists = [list('s', starts), list('e', ends), list('a', axes), list('t', steps)];
    return {
      text: `g (${x}) => (T[${out}] y) <${lists.join(', ')}> { y = Slice(x, s, e, a, t) }`,
    };
  }),
  ...['constant', 'reflect', 'edge', 'wrap'].map((mode) => ({
    text: `<ir_version: 9, opset_import: ["" : 19]> g (${x}) => (T[2,6,5] y) <int64[6] p = {0, 1, 0, 0, 2, 1}> { y = Pad<mode = "${mode}">(x, p) }`,
  })),
  {
    text: `g (${x}) => (T[2,2,4] y) <int64[6] p = {0, -1, 0, 0, 0, 0}> { y = Pad(x, p) }`,
  },
  { text: 'g (T[2,3] x) => (T[4,9] y) <int64[2] r = {2, 3}> { y = Tile(x, r) }' },
  { text: 'g (T[2,1] x) => (T[3,2,4] y) <int64[3] s = {3, 2, 4}> { y = Expand(x, s) }' },
  ...['DCR', 'CRD'].map((mode) => ({
    text: `g (T[2,8,2,3] x) => (T[2,2,4,6] y) { y = DepthToSpace<blocksize = 2, mode = "${mode}">(x) }`,
  })),
  { text: 'g (T[2,2,4,6] x) => (T[2,8,2,3] y) { y = SpaceToDepth<blocksize = 2>(x) }' },
  resized('mode = "nearest"', '1, 2, 6, 8', '1,2,6,8'),
  resized(
    'mode = "linear", coordinate_transformation_mode = "align_corners"',
    '1, 2, 5, 7',
    '1,2,5,7',
  ),
  resized('mode = "linear"', '1, 2, 2, 3', '1,2,2,3'),
  resized('mode = "cubic", coordinate_transformation_mode = "asymmetric"', '1, 2, 6, 8', '1,2,6,8'),
  {
    text: 'g (T[1,2,3,4] x) => (T[1,2,6,10] y) <float[4] s = {1.0, 1.0, 2.0, 2.5}> { y = Resize<mode = "linear">(x, , s) }',
  },
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse) => ({
      text: `g (T[2,4] x) => (T[2,4] y) <int64 a = {1}> { y = CumSum<exclusive = ${exclusive}, reverse = ${reverse}>(x, a) }`,
    })),
  ),
  { text: 'g (T[3,3] x) => (T[3,3] y) { y = Trilu<upper = 0>(x) }' },
  {
    text: '<ir_version: 8, opset_import: ["" : 18]> g (T[5,4,3] x) => (T[2,7,3] y) <int64[2] s = {2, 7}> { y = CenterCropPad<axes = [0, 1]>(x, s) }',
  },
  {
    text: 'g (T[4,3] x) => (T[4,3] y) <int64[3] s = {2, 4, 1}> { y = ReverseSequence(x, s) }',
  },
];
