// Normalisations: the result has the shape of the input; statistics are small tensors beside it.

import { mul, product, type Shape } from '../graph/index.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import {
  batchnormAxes,
  groupNormAxes,
  instanceNormAxes,
  layerNormAxes,
  mixedAxes,
  resizeGroupNorm,
} from './axes/norm.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, tensor } from './op.ts';

const FLOAT = 1;

/** The type statistics are calculated in. */
function stashType(c: InferContext): DType | undefined {
  return dtypeOf(c.node.int('stash_type', FLOAT));
}

/** Shape of the mean over the axes from `axis` on: they stay, as 1. */
export function statisticsShape(c: InferContext, axis: number): Shape | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  const first = c.axis(axis, x.length);
  return x.map((dim, i) => (i < first ? dim : 1));
}

function same(op: string) {
  return { op, infer: (c: InferContext): Inferred[] => [tensor(c.dtype(0), c.shape(0))] };
}

define(
  {
    // Outputs beside Y: opset 14 on, the running mean and variance; before, those and what the
    // backward pass reuses.
    op: 'BatchNormalization',
    infer(c) {
      const x = c.shape(0);
      const [scale, channels] = [c.shape(1)?.[0], x?.[1]];
      if (typeof scale === 'number' && typeof channels === 'number' && scale !== channels) {
        const spatial = c.node.int('spatial', 1);
        if (spatial !== 0) {
          c.fail(`BatchNormalization scales ${scale} channels, but its input has ${channels}`);
        }
      }
      const mean = tensor(c.dtype(3) ?? c.dtype(0), c.shape(3) ?? c.shape(1));
      const variance = tensor(c.dtype(4) ?? c.dtype(0), c.shape(4) ?? c.shape(1));
      return [tensor(c.dtype(0), x), mean, variance, mean, variance];
    },
    statistics: [3, 4],
    axes: batchnormAxes,
  },
  { ...same('InstanceNormalization'), axes: instanceNormAxes },
  {
    ...same('GroupNormalization'),
    axes: groupNormAxes('num_groups', 1),
    resize: resizeGroupNorm('num_groups', 1),
  },
  { ...same('RMSNormalization'), axes: (l) => layerNormAxes(l) },
  { ...same('LpNormalization'), axes: (l) => mixedAxes(l, [l.c.node.int('axis', -1)]) },
  {
    ...same('MeanVarianceNormalization'),
    axes: (l) => mixedAxes(l, l.c.node.ints('axes') ?? [0, 2, 3]),
  },
  {
    op: 'LayerNormalization',
    infer(c) {
      const statistics = tensor(stashType(c), statisticsShape(c, c.node.int('axis', -1)));
      return [tensor(c.dtype(0), c.shape(0)), statistics, statistics];
    },
    axes: (l) => layerNormAxes(l),
  },
  {
    ...same('LRN'),
    // The sum of squares over `size` neighbouring channels.
    cost(c) {
      const x = c.shape(0);
      return x && mul(product(x), c.node.int('size', 1));
    },
    axes: (l) => mixedAxes(l, [1]),
  },
);
