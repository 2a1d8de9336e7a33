// Gradients of normalisations. With x̂ = (x - μ) / σ and what comes back through the scale, g:
// dx = (g - mean(g) - x̂ mean(g x̂)) / σ over the axes that were normalised (Ba et al. 2016).

import type { Value } from '../../graph/index.ts';
import { type GradientContext, gradients, UnknownShape } from '../gradient.ts';

type C = GradientContext;

interface Normalised {
  readonly hat: Value;
  /** 1/σ. */
  readonly inverse: Value;
}

function mean(c: C, value: Value, axes: readonly number[]): Value {
  return c.mean(value, axes, true);
}

/** x̂ and 1/σ, calculated anew: cheaper than to keep them where the forward pass does not. */
function normalise(c: C, x: Value, axes: readonly number[], epsilon: number): Normalised {
  const centered = c.sub(x, mean(c, x, axes));
  const variance = mean(c, c.mul(centered, centered), axes);
  const inverse = c.op('Reciprocal', [c.op('Sqrt', [c.add(variance, c.scalar(epsilon, x))])]);
  return { hat: c.mul(centered, inverse), inverse };
}

/** dx of x̂, given what comes back to x̂. */
function centeredGradient(c: C, g: Value, n: Normalised, axes: readonly number[]): Value {
  const along = c.mul(n.hat, mean(c, c.mul(g, n.hat), axes));
  return c.mul(c.sub(c.sub(g, mean(c, g, axes)), along), n.inverse);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}

function layerNorm(c: C): (Value | undefined)[] {
  const x = c.x();
  const rank = c.rank(x);
  const given = c.node.int('axis', -1);
  const axes = range(given < 0 ? given + rank : given, rank);
  const n = keptStatistics(c) ?? normalise(c, x, axes, c.node.float('epsilon', 1e-5));
  return [
    c.when(0, () => centeredGradient(c, c.mul(c.dy(), c.x(1)), n, axes)),
    c.when(1, () => c.mul(c.dy(), n.hat)),
    c.when(2, () => c.dy()),
  ];
}

/** Mean and 1/σ as the operator's own outputs, which are float32 whatever the input. */
function keptStatistics(c: C): Normalised | undefined {
  if (c.x().dtype !== 'float32') return undefined;
  const inverse = c.extraOutput(2, 'inverse_deviation');
  const average = c.extraOutput(1, 'mean');
  return { hat: c.mul(c.sub(c.x(), average), inverse), inverse };
}

/** x / √(mean(x²) + ε) · scale: nothing is centred (Zhang & Sennrich 2019). */
function rmsNorm(c: C): (Value | undefined)[] {
  const x = c.x();
  const rank = c.rank(x);
  const given = c.node.int('axis', -1);
  const axes = range(given < 0 ? given + rank : given, rank);
  const square = c.add(mean(c, c.mul(x, x), axes), c.scalar(c.node.float('epsilon', 1e-5), x));
  const inverse = c.op('Reciprocal', [c.op('Sqrt', [square])]);
  const hat = c.mul(x, inverse);
  return [
    c.when(0, () => {
      const g = c.mul(c.dy(), c.x(1));
      return c.mul(c.sub(g, c.mul(hat, mean(c, c.mul(g, hat), axes))), inverse);
    }),
    c.when(1, () => c.mul(c.dy(), hat)),
  ];
}

/** A vector of channels as [C, 1, …], to stand beside [N, C, d1 …]. */
function perChannel(c: C, vector: Value, rank: number): Value {
  return c.op('Unsqueeze', [vector, c.ints(range(1, rank - 1))]);
}

function sumOverAllButChannels(c: C, value: Value): Value {
  return c.reduceSum(value, [0, ...range(2, c.rank(value))], false);
}

function instanceNorm(c: C): (Value | undefined)[] {
  const x = c.x();
  const rank = c.rank(x);
  const axes = range(2, rank);
  const n = normalise(c, x, axes, c.node.float('epsilon', 1e-5));
  return [
    c.when(0, () => centeredGradient(c, c.mul(c.dy(), perChannel(c, c.x(1), rank)), n, axes)),
    c.when(1, () => sumOverAllButChannels(c, c.mul(c.dy(), n.hat))),
    c.when(2, () => sumOverAllButChannels(c, c.dy())),
  ];
}

/**
 * With the batch's own mean μ and deviation σ (Ioffe and Szegedy 2015). With x̃ = x - μ and sums over
 * the n elements of a channel: dx = s/σ · (dy - Σdy/n - x̃ · Σ(dy x̃)/(n σ²)); the running averages are
 * no way back.
 */
function trainedBatchNorm(c: C): (Value | undefined)[] {
  const [x, dy] = [c.x(), c.dy()];
  const rank = c.rank(x);
  const axes = [0, ...range(2, rank)];
  const channel = (value: Value) => perChannel(c, value, rank);
  const centered = c.sub(x, c.mean(x, axes, true));
  const variance = c.mean(c.mul(centered, centered), axes, false);
  const epsilon = c.scalar(c.node.float('epsilon', 1e-5), x);
  const inverse = c.op('Reciprocal', [c.op('Sqrt', [c.add(variance, epsilon)])]);
  const sum = sumOverAllButChannels(c, dy);
  const along = c.mul(sumOverAllButChannels(c, c.mul(dy, centered)), inverse);
  return [
    c.when(0, () => {
      const size = c.op('ReduceProd', [c.op('Gather', [c.op('Shape', [x]), c.ints(axes)])], {
        keepdims: 0,
      });
      const share = c.op('Reciprocal', [c.op('CastLike', [size, x])]);
      const factor = c.mul(c.x(1), inverse);
      const straight = c.mul(dy, channel(factor));
      const slope = c.neg(c.mul(c.mul(factor, c.mul(along, inverse)), share));
      const level = c.neg(c.mul(c.mul(factor, sum), share));
      return c.add(c.add(straight, c.mul(centered, channel(slope))), channel(level));
    }),
    c.when(1, () => along),
    c.when(2, () => sum),
  ];
}

/** With running statistics, as in inference. */
function batchNorm(c: C): (Value | undefined)[] {
  if (c.node.int('training_mode', 0)) return trainedBatchNorm(c);
  const rank = c.rank(c.x());
  const channel = (value: Value) => perChannel(c, value, rank);
  const epsilon = c.scalar(c.node.float('epsilon', 1e-5), c.x(4));
  const deviation = c.op('Sqrt', [c.add(c.x(4), epsilon)]);
  const hat = () => c.div(c.sub(c.x(), channel(c.x(3))), channel(deviation));
  return [
    c.when(0, () => c.mul(c.dy(), channel(c.div(c.x(1), deviation)))),
    c.when(1, () => sumOverAllButChannels(c, c.mul(c.dy(), hat()))),
    c.when(2, () => sumOverAllButChannels(c, c.dy())),
  ];
}

/** Groups of channels as [N, G, C/G · d1 …]; the scale is per channel (opset 21). */
function groupNorm(c: C): (Value | undefined)[] {
  if (c.opset < 21)
    return c.unsupported('GroupNormalization with a scale per group (before opset 21)');
  const x = c.x();
  const shape = c.staticShape(x);
  if (!shape) throw new UnknownShape(x);
  const groups = c.node.int('num_groups', 1);
  const grouped = c.ints([shape[0] ?? 1, groups, -1]);
  const flat = (value: Value) => c.op('Reshape', [value, grouped]);
  const back = (value: Value) => c.op('Reshape', [value, c.ints(shape)]);
  const n = normalise(c, flat(x), [2], c.node.float('epsilon', 1e-5));
  const scale = perChannel(c, c.x(1), shape.length);
  return [
    c.when(0, () => back(centeredGradient(c, flat(c.mul(c.dy(), scale)), n, [2]))),
    c.when(1, () => sumOverAllButChannels(c, c.mul(c.dy(), back(n.hat)))),
    c.when(2, () => sumOverAllButChannels(c, c.dy())),
  ];
}

/** y = x / ‖x‖: what comes back loses its part along y, or along the signs of x for p = 1. */
function lpNorm(c: C): (Value | undefined)[] {
  const x = c.x();
  const given = c.node.int('axis', -1);
  const axis = given < 0 ? given + c.rank(x) : given;
  const isFirst = c.node.int('p', 2) === 1;
  const powered = isFirst ? c.op('Abs', [x]) : c.mul(x, x);
  const sum = c.reduceSum(powered, [axis], true);
  const norm = isFirst ? sum : c.op('Sqrt', [sum]);
  const along = c.reduceSum(c.mul(c.dy(), c.y()), [axis], true);
  const direction = isFirst ? c.op('Sign', [x]) : c.y();
  return [c.div(c.sub(c.dy(), c.mul(direction, along)), norm)];
}

/** ONNX specification: (x - μ) / (σ + 1e-9), over batch and space by default. */
function meanVariance(c: C): (Value | undefined)[] {
  const axes = c.node.ints('axes') ?? [0, 2, 3];
  return [centeredGradient(c, c.dy(), normalise(c, c.x(), axes, 1e-9), axes)];
}

/** y = x D^-β with D = k + α/n Σ x² over n neighbouring channels (Krizhevsky et al. 2012). */
function localResponse(c: C): (Value | undefined)[] {
  const [alpha, beta] = [c.node.float('alpha', 1e-4), c.node.float('beta', 0.75)];
  const size = c.node.int('size', 1);
  const x = c.x();
  const channels = c.staticShape(x)?.[1];
  if (channels === undefined) throw new UnknownShape(x);
  const before = Math.floor((size - 1) / 2);
  const squares = windowSum(c, c.mul(x, x), channels, before, size);
  const d = c.add(c.scale(squares, alpha / size), c.scalar(c.node.float('bias', 1), x));
  const shared = c.div(c.mul(c.dy(), c.y()), d);
  const others = windowSum(c, shared, channels, size - 1 - before, size);
  const direct = c.mul(c.dy(), c.op('Pow', [d, c.scalar(-beta, x)]));
  return [c.sub(direct, c.mul(c.scale(x, (2 * alpha * beta) / size), others))];
}

/** Σ over `size` channels, the first of them `before` back. */
function windowSum(c: C, value: Value, channels: number, before: number, size: number): Value {
  const rank = c.rank(value);
  const pads = new Array<number>(2 * rank).fill(0);
  pads[1] = before;
  pads[rank + 1] = size - 1 - before;
  const padded = c.op('Pad', [value, c.ints(pads)]);
  const parts = range(0, size).map((i) =>
    c.op('Slice', [padded, c.ints([i]), c.ints([i + channels]), c.ints([1])]),
  );
  return parts.length === 1 ? value : c.op('Sum', parts);
}

/** As in inference: the data as it is. Training puts a mask in its place before (train/dropout). */
function dropout(c: C): (Value | undefined)[] {
  const mode = c.node.input(2);
  const isOff = mode === undefined || c.constantNumbers(2)?.[0] === 0;
  return isOff ? [c.dy()] : c.unsupported('Dropout in training mode');
}

gradients({
  LayerNormalization: layerNorm,
  RMSNormalization: rmsNorm,
  InstanceNormalization: instanceNorm,
  BatchNormalization: batchNorm,
  GroupNormalization: groupNorm,
  LpNormalization: lpNorm,
  MeanVarianceNormalization: meanVariance,
  LRN: localResponse,
  Dropout: dropout,
});
