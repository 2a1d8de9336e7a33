import type { GradientCase } from '../../helpers/gradcheck.ts';

const at = '<ir_version: 9, opset_import: ["" : 20]>';

export const cases: readonly GradientCase[] = [
  ...[0, 1].flatMap((align) => [
    ...['zeros', 'border'].map((padding) => ({
      text: `${at} g (T[2,3,4,5] x, T[2,3,2,2] p) => (T[2,3,3,2] y) { y = GridSample<align_corners = ${align}, padding_mode = "${padding}">(x, p) }`,
      // Some places lie outside.
      range: { p: [-1.3, 1.3] as const },
      step: 1e-3,
    })),
    {
      text: `${at} g (T[2,2,3] t) => (T[2,3,4,2] y) <int64[4] s = {2, 1, 3, 4}> { y = AffineGrid<align_corners = ${align}>(t, s) }`,
    },
    {
      text: `${at} g (T[1,3,4] t) => (T[1,2,3,4,3] y) <int64[5] s = {1, 1, 2, 3, 4}> { y = AffineGrid<align_corners = ${align}>(t, s) }`,
    },
  ]),
];
