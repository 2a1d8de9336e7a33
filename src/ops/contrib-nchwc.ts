// Blocked layouts that onnxruntime's optimiser writes at its highest level for one kind of CPU:
// channels padded to a block (8 or 16) and put innermost. Shapes stay [N, C, H, W], C padded.

import { type Dim, mul, type Shape, unknownDim } from '../graph/index.ts';
import type { InferContext } from './context.ts';
import { convCost, convShape } from './conv.ts';
import { define, tensor } from './op.ts';
import { globalPoolShape, inputCost, poolCost, poolShape } from './pool.ts';

const domain = 'com.microsoft.nchwc';

/** A multiple of it needs no padding on any machine. */
const WIDEST_BLOCK = 16;

/** From [N, C, H, W], or [N, H, W, C] with `channels_last`. */
function blocked(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  if (!x || x.length < 3) return undefined;
  const isLast = c.node.int('channels_last', 0) === 1;
  const channels = x[isLast ? x.length - 1 : 1] as Dim;
  const isWhole = typeof channels === 'number' && channels % WIDEST_BLOCK === 0;
  const spatial = isLast ? x.slice(1, -1) : x.slice(2);
  return [x[0] as Dim, isWhole ? channels : unknownDim(), ...spatial];
}

/** Back, without the padding. */
function unblocked(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const channels = c.node.int('channels');
  if (!x || channels === undefined) return undefined;
  const isLast = c.node.int('channels_last', 0) === 1;
  const spatial = x.slice(2);
  return isLast ? [x[0] as Dim, ...spatial, channels] : [x[0] as Dim, channels, ...spatial];
}

const pool = (op: string) => ({
  op,
  domain,
  infer: (c: InferContext) => [tensor(c.dtype(0), poolShape(c))],
  cost: poolCost,
});

const global = (op: string) => ({
  op,
  domain,
  infer: (c: InferContext) => [tensor(c.dtype(0), globalPoolShape(c.shape(0)))],
  cost: inputCost,
});

define(
  {
    op: 'Conv',
    domain,
    infer: (c) => [tensor(c.dtype(0) ?? c.dtype(1), convShape(c, { x: 0, w: 1 }))],
    cost: (c) => convCost(c, 1),
  },
  pool('MaxPool'),
  pool('AveragePool'),
  global('GlobalMaxPool'),
  global('GlobalAveragePool'),
  {
    op: 'Upsample',
    domain,
    infer(c) {
      const scales = c.node.ints('scales') ?? [];
      return [
        tensor(
          c.dtype(0),
          c.shape(0)?.map((dim, i) => mul(dim, scales[i] ?? 1)),
        ),
      ];
    },
  },
  { op: 'ReorderInput', domain, infer: (c) => [tensor(c.dtype(0), blocked(c))], cost: () => 0 },
  { op: 'ReorderOutput', domain, infer: (c) => [tensor(c.dtype(0), unblocked(c))], cost: () => 0 },
);
