import type { GradientCase } from '../../helpers/gradcheck.ts';

const [S, N, I, H] = [4, 2, 3, 2];
/** Where gates bend little, differences are close in single precision, too. */
const RANGE = [-0.5, 0.5] as const;
const SMOOTH = {
  range: Object.fromEntries(['x', 'w', 'r', 'b', 'h', 'c'].map((name) => [name, RANGE])),
  away: 0.05,
  step: 5e-3,
};
const GATES = { LSTM: 4, GRU: 3, RNN: 1 } as const;

interface Form {
  readonly attrs?: string;
  readonly directions?: 1 | 2;
  /** Inputs beside X, W and R. */
  readonly given?: readonly ('b' | 'h' | 'c')[];
  /** Outputs that are read. */
  readonly read?: readonly ('y' | 'yh' | 'yc')[];
  readonly steps?: number;
}

function recurrent(op: keyof typeof GATES, form: Form): GradientCase {
  const { attrs = '', directions: d = 1, given = ['b'], read = ['y', 'yh'], steps = S } = form;
  const gates = GATES[op] * H;
  const shapes = {
    b: `T[${d},${2 * gates}] b`,
    h: `T[${d},${N},${H}] h`,
    c: `T[${d},${N},${H}] c`,
  };
  const outputs = { y: `T[${steps},${d},${N},${H}] y`, yh: shapes.h.replace(' h', ' yh') };
  const types = { ...outputs, yc: shapes.c.replace(' c', ' yc') };
  const has = (name: 'b' | 'h' | 'c') => (given.includes(name) ? name : '');
  const inputs = ['x', 'w', 'r', has('b'), '', has('h'), op === 'LSTM' ? has('c') : ''];
  while (inputs.at(-1) === '') inputs.pop();
  const made = (['y', 'yh', 'yc'] as const).map((name) => (read.includes(name) ? name : ''));
  while (made.at(-1) === '') made.pop();
  const declared = [
    `T[${steps},${N},${I}] x, T[${d},${gates},${I}] w, T[${d},${gates},${H}] r`,
    ...given.map((name) => shapes[name]),
  ];
  return {
    text: `g (${declared.join(', ')}) => (${read.map((name) => types[name]).join(', ')}) { ${made.join(', ')} = ${op}<hidden_size = ${H}${attrs}>(${inputs.join(', ')}) }`,
    single: 'there are no kernels for doubles',
    away: 0.2,
    ...(op === 'RNN' ? {} : SMOOTH),
  };
}

const REVERSE = ', direction = "reverse"';
const BOTH = ', direction = "bidirectional"';
const AFTER = ', linear_before_reset = 1';

export const cases: readonly GradientCase[] = [
  recurrent('LSTM', {}),
  recurrent('LSTM', { given: [] }),
  recurrent('LSTM', { steps: 1, given: ['b', 'h', 'c'] }),
  recurrent('LSTM', { given: ['b', 'h', 'c'], read: ['y', 'yh', 'yc'] }),
  recurrent('LSTM', { given: ['h'], read: ['yh'] }),
  recurrent('LSTM', { given: ['c'], read: ['yc'] }),
  recurrent('LSTM', { attrs: REVERSE, given: ['b', 'h', 'c'], read: ['y', 'yh', 'yc'] }),
  recurrent('LSTM', { attrs: BOTH, directions: 2, given: ['b', 'h', 'c'], read: ['y', 'yc'] }),
  ...['', AFTER].flatMap((reset) => [
    recurrent('GRU', { attrs: reset, given: ['b', 'h'] }),
    recurrent('GRU', { attrs: reset, given: [], read: ['yh'] }),
    recurrent('GRU', { attrs: reset + REVERSE, given: ['b', 'h'] }),
    recurrent('GRU', { attrs: reset + BOTH, directions: 2, read: ['y'] }),
  ]),
  recurrent('RNN', { given: ['b', 'h'] }),
  recurrent('RNN', { attrs: ', activations = ["Relu"]' }),
  recurrent('RNN', { attrs: REVERSE, given: ['h'], read: ['yh'] }),
  recurrent('RNN', { attrs: BOTH, directions: 2, given: ['b', 'h'] }),
];
