// Small graphs for recurrent layers and attention.

import type { Value } from '../../../src/graph/index.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import type { Sketch } from '../../helpers/rewriting.ts';
import { ms, type OpCase, project, tokens } from './op-cases.ts';

const GATES: Record<string, number> = { RNN: 1, GRU: 3, LSTM: 4 };

function recurrent(s: Sketch, op: string, direction: string): Value {
  const [hidden, gates] = [6, GATES[op] as number];
  const d = direction === 'bidirectional' ? 2 : 1;
  const weights = [
    s.weight([d, gates * hidden, 5]),
    s.weight([d, gates * hidden, hidden]),
    s.weight([d, 2 * gates * hidden]),
  ];
  const states = op === 'LSTM' ? 2 : 1;
  const initial = Array.from({ length: states }, () => s.weight([d, 2, hidden]));
  const peephole = op === 'LSTM' ? [s.weight([d, 3 * hidden])] : [];
  const inputs = [s.input('x', [4, 2, 5]), ...weights, undefined, ...initial, ...peephole];
  const [y] = s.g.ops(op, inputs, 1, { hidden_size: hidden, direction });
  const turned = s.g.op('Transpose', [y], { perm: [0, 2, 1, 3] });
  return project(s, s.g.op('Reshape', [turned, s.ints(4, 2, d * hidden)]), d * hidden);
}

const layers: OpCase[] = Object.keys(GATES).flatMap((op) =>
  ['forward', 'bidirectional'].map(
    (direction): OpCase => ({
      name: `${op}, ${direction}`,
      units: [6],
      build: (s) => recurrent(s, op, direction),
    }),
  ),
);

const attention: OpCase[] = [
  {
    name: 'Attention of the standard domain, grouped queries',
    opset: 23,
    units: [2],
    build(s) {
      const q = tokens(s, 12);
      const [k, v] = ['k', 'v'].map((name) => tokens(s, 6, [2, 4], name));
      return project(s, s.g.op('Attention', [q, k, v], { q_num_heads: 4, kv_num_heads: 2 }));
    },
  },
  {
    name: 'Attention of the standard domain, with an axis of heads',
    opset: 23,
    units: [4],
    build(s) {
      const [q, k, v] = ['q', 'k', 'v'].map((name) => {
        const split = s.g.op('Reshape', [tokens(s, 12, [2, 4], name), s.ints(2, 4, 4, 3)]);
        return s.g.op('Transpose', [split], { perm: [0, 2, 1, 3] });
      });
      const y = s.g.op('Attention', [q, k, v]);
      const back = s.g.op('Transpose', [y], { perm: [0, 2, 1, 3] });
      return project(s, s.g.op('Reshape', [back, s.ints(2, 4, 12)]), 12);
    },
  },
  {
    name: 'MultiHeadAttention with biases',
    units: [4],
    build(s) {
      const [q, k, v] = ['q', 'k', 'v'].map((name) => tokens(s, 12, [2, 4], name));
      return project(
        s,
        s.g.op('MultiHeadAttention', [q, k, v, s.weight([36])], { num_heads: 4 }, ms),
      );
    },
  },
  {
    name: 'Attention of com.microsoft',
    units: [4],
    build(s) {
      const x = s.input('x', [2, 4, 5]);
      const inputs = [x, s.weight([5, 36]), s.weight([36])];
      return project(s, s.g.op('Attention', inputs, { num_heads: 4 }, ms));
    },
  },
  ...[true, false].map(
    (isPacked): OpCase => ({
      name: `GroupQueryAttention, ${isPacked ? 'packed' : 'apart'}`,
      units: [2],
      build: (s) => groupQuery(s, isPacked),
    }),
  ),
  {
    name: 'RotaryEmbedding',
    opset: 23,
    units: [3],
    build(s) {
      const [cosines, sines] = [s.weight([2, 4, 2]), s.weight([2, 4, 2])];
      return project(
        s,
        s.g.op('RotaryEmbedding', [tokens(s, 12), cosines, sines], { num_heads: 3 }),
      );
    },
  },
  {
    name: 'RotaryEmbedding of com.microsoft',
    units: [3],
    build(s) {
      const positions = s.g.constant(
        'positions',
        Tensor.of('int64', [2, 4], [0, 1, 2, 3, 0, 1, 2, 3]),
      );
      const inputs = [tokens(s, 12), positions, s.weight([8, 2]), s.weight([8, 2])];
      return project(s, s.g.op('RotaryEmbedding', inputs, { num_heads: 3 }, ms));
    },
  },
];

function groupQuery(s: Sketch, isPacked: boolean): Value {
  const [heads, keyHeads, size] = [4, 2, 8];
  const widths = isPacked
    ? [(heads + 2 * keyHeads) * size]
    : [heads * size, keyHeads * size, keyHeads * size];
  const inputs: (Value | undefined)[] = widths.map((width, i) => tokens(s, width, [2, 4], `x${i}`));
  while (inputs.length < 5) inputs.push(undefined);
  inputs.push(s.g.constant('lengths', Tensor.of('int32', [2], [3, 3])));
  inputs.push(s.g.constant('total', Tensor.of('int32', [], [4])));
  const attrs = { num_heads: heads, kv_num_heads: keyHeads };
  const [y] = s.g.ops('GroupQueryAttention', inputs, 3, attrs, ms);
  return project(s, y as Value, heads * size);
}

export const LAYER_CASES: readonly OpCase[] = [...layers, ...attention];
