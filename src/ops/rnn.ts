// Recurrent layers. X [T, N, I], W [D, gates * H, I], R [D, gates * H, H] → Y [T, D, N, H],
// states [D, N, H]; layout 1 puts the batch first: X [N, T, I], Y [N, T, D, H], states [N, D, H].

import { add, type Dim, floorDiv, mul, product, type Shape, unknownDim } from '../graph/index.ts';
import { recurrentAxes, resizeRecurrent } from './axes/recurrent.ts';
import type { InferContext } from './context.ts';
import { define, type OpSpec, tensor } from './op.ts';

interface RecurrentShapes {
  readonly sequence: Shape;
  readonly state: Shape;
  readonly hidden: Dim;
  readonly directions: Dim;
}

export function recurrentShapes(c: InferContext, gates: number): RecurrentShapes {
  const x = c.shape(0);
  if (x && x.length !== 3) c.fail(`${c.node.op} needs an input of rank 3, but has ${x.length}`);
  const isBatchFirst = c.node.int('layout', 0) === 1;
  const time = x?.[isBatchFirst ? 1 : 0] ?? unknownDim();
  const batch = x?.[isBatchFirst ? 0 : 1] ?? unknownDim();
  const directions = c.node.string('direction', 'forward') === 'bidirectional' ? 2 : 1;
  const hidden = hiddenSize(c, gates);
  return {
    sequence: isBatchFirst ? [batch, time, directions, hidden] : [time, directions, batch, hidden],
    state: isBatchFirst ? [batch, directions, hidden] : [directions, batch, hidden],
    hidden,
    directions,
  };
}

/** The attribute, or else what the recurrent weight says. */
function hiddenSize(c: InferContext, gates: number): Dim {
  const given = c.node.int('hidden_size');
  if (given !== undefined) return given;
  const [w, r] = [c.shape(1), c.shape(2)];
  return r?.[2] ?? (w?.[1] !== undefined ? floorDiv(w[1], gates) : unknownDim());
}

/** T * N * D * gates * H * (I + H), and H per peephole gate. */
export function recurrentCost(c: InferContext, gates: number, peepholes = 0): Dim | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  const { hidden, directions } = recurrentShapes(c, gates);
  const perStep = add(mul(mul(gates, hidden), add(x[2] as Dim, hidden)), mul(peepholes, hidden));
  return mul(mul(product(x.slice(0, 2)), directions), perStep);
}

function recurrent(op: string, gates: number, states: number, peephole?: number): OpSpec {
  return {
    op,
    infer(c) {
      const { sequence, state } = recurrentShapes(c, gates);
      const results = Array.from({ length: states }, () => tensor(c.dtype(0), state));
      return [tensor(c.dtype(0), sequence), ...results];
    },
    cost: (c) => recurrentCost(c, gates, peephole !== undefined && c.has(peephole) ? 3 : 0),
    axes: recurrentAxes,
    resize: resizeRecurrent,
  };
}

define(recurrent('RNN', 1, 1), recurrent('GRU', 3, 1), recurrent('LSTM', 4, 2, 7));
