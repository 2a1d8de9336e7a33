import type { GradientCase } from '../../helpers/gradcheck.ts';

interface Form {
  readonly x: string;
  readonly w: string;
  readonly y: string;
  readonly attrs?: string;
}

const text = (op: string, { x, w, y, attrs }: Form): GradientCase => {
  const channels = y.split(',')[1];
  const given = attrs ? `<${attrs}>` : '';
  return {
    text: `g (T[${x}] x, T[${w}] w, T[${channels}] b) => (T[${y}] y) { y = ${op}${given}(x, w, b) }`,
    // Linear in each input.
    step: 0.5,
  };
};

const conv = (form: Form) => text('Conv', form);
const transposed = (form: Form) => text('ConvTranspose', form);

export const cases: readonly GradientCase[] = [
  conv({ x: '2,3,5,6', w: '4,3,3,3', y: '2,4,3,4' }),
  conv({ x: '2,3,5,6', w: '4,3,1,1', y: '2,4,5,6' }),
  conv({ x: '2,3,5,6', w: '4,3,3,3', y: '2,4,5,6', attrs: 'pads = [1, 1, 1, 1]' }),
  conv({ x: '1,2,5,6', w: '2,2,3,2', y: '1,2,7,8', attrs: 'pads = [2, 3, 2, 0]' }),
  conv({
    x: '2,3,6,7',
    w: '4,3,3,3',
    y: '2,4,3,4',
    attrs: 'strides = [2, 2], pads = [1, 1, 1, 1]',
  }),
  conv({ x: '1,2,7,7', w: '2,2,3,3', y: '1,2,3,2', attrs: 'strides = [2, 3]' }),
  conv({ x: '1,2,7,7', w: '2,2,1,1', y: '1,2,4,4', attrs: 'strides = [2, 2]' }),
  conv({ x: '1,2,7,8', w: '3,2,3,2', y: '1,3,3,6', attrs: 'dilations = [2, 2]' }),
  conv({ x: '1,4,5,5', w: '6,2,3,3', y: '1,6,5,5', attrs: 'group = 2, pads = [1, 1, 1, 1]' }),
  conv({ x: '1,4,5,5', w: '4,1,3,3', y: '1,4,5,5', attrs: 'group = 4, pads = [1, 1, 1, 1]' }),
  conv({
    x: '1,4,6,6',
    w: '8,1,3,3',
    y: '1,8,3,3',
    attrs: 'group = 4, strides = [2, 2], pads = [1, 1, 1, 1]',
  }),
  conv({
    x: '1,2,5,6',
    w: '2,2,3,3',
    y: '1,2,3,3',
    attrs: 'auto_pad = "SAME_UPPER", strides = [2, 2]',
  }),
  conv({ x: '1,2,5,6', w: '2,2,2,3', y: '1,2,5,6', attrs: 'auto_pad = "SAME_LOWER"' }),
  conv({ x: '2,3,8', w: '4,3,3', y: '2,4,8', attrs: 'pads = [1, 1]' }),
  conv({ x: '1,2,4,4,5', w: '2,2,2,3,2', y: '1,2,3,2,4' }),
  transposed({ x: '2,3,4,5', w: '3,2,3,3', y: '2,2,6,7' }),
  transposed({ x: '1,3,4,5', w: '3,2,3,3', y: '1,2,4,5', attrs: 'pads = [1, 1, 1, 1]' }),
  transposed({
    x: '1,3,3,4',
    w: '3,2,3,3',
    y: '1,2,6,8',
    attrs: 'strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]',
  }),
  transposed({ x: '1,4,3,3', w: '4,1,2,2', y: '1,2,6,6', attrs: 'strides = [2, 2], group = 2' }),
  transposed({ x: '1,2,3,3', w: '2,2,3,3', y: '1,2,7,7', attrs: 'dilations = [2, 2]' }),
  transposed({
    x: '1,2,3,3',
    w: '2,2,3,3',
    y: '1,2,6,6',
    attrs: 'strides = [2, 2], auto_pad = "SAME_UPPER"',
  }),
  transposed({ x: '1,2,5', w: '2,3,3', y: '1,3,7' }),
  {
    text: '<ir_version: 8, opset_import: ["" : 18]> g (T[1,8,6] x) => (T[1,2,5,5] y) <int64[2] i = {5, 5}, int64[2] b = {2, 2}> { y = Col2Im<strides = [2, 3], pads = [0, 1, 1, 0]>(x, i, b) }',
    step: 0.5,
  },
];
