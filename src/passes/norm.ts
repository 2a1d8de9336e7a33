// How exporters write normalisation by hand: x / sqrt(mean(x^2) + epsilon), the core of both layer
// and RMS normalisation, followed by a scale, perhaps a shift, perhaps inside an island of Casts to
// float32.

import type { Node, Value } from '../graph/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import { floatTensor } from '../tensor/scale.ts';
import {
  constant,
  intsOf,
  isScalar,
  normalAxes,
  onlyReader,
  operands,
  producer,
  withScalar,
} from './match.ts';
import type { RewriteContext } from './pass.ts';

export interface Normalizer {
  /** What is normalised by its root mean square. */
  readonly x: Value;
  readonly output: Value;
  readonly epsilon: number;
  /** First of the axes, which reach to the last one. */
  readonly axis: number;
  readonly rank: number;
  readonly matched: Set<Node>;
}

/** x / sqrt(mean(x^2) + epsilon), made by this Div or Mul. */
export function normalizerAt(node: Node): Normalizer | undefined {
  if (node.op === 'Div') {
    const [x, root] = node.inputs;
    return x && root && normalizer(node, x, rootOf(root));
  }
  for (const [x, inverse] of operands(node)) {
    const found = normalizer(node, x, inverseRootOf(inverse));
    if (found) return found;
  }
  return undefined;
}

interface Step {
  /** mean(x^2) + epsilon */
  readonly variance: Value;
  readonly nodes: readonly Node[];
}

function rootOf(value: Value): Step | undefined {
  const sqrt = producer(value, 'Sqrt');
  const variance = sqrt?.input(0);
  if (sqrt && variance) return { variance, nodes: [sqrt] };
  return powerOf(value, 0.5);
}

function powerOf(value: Value, exponent: number): Step | undefined {
  const pow = producer(value, 'Pow');
  const variance = pow?.input(0);
  return pow && variance && isScalar(pow.input(1), exponent)
    ? { variance, nodes: [pow] }
    : undefined;
}

function inverseRootOf(value: Value): Step | undefined {
  const reciprocal = producer(value, 'Reciprocal');
  const division = producer(value, 'Div');
  const inverse = reciprocal ?? (isScalar(division?.input(0), 1) ? division : undefined);
  const inner = reciprocal ? reciprocal.input(0) : division?.input(1);
  const root = inverse && inner ? rootOf(inner) : undefined;
  if (inverse && root) return { variance: root.variance, nodes: [inverse, ...root.nodes] };
  return powerOf(value, -0.5);
}

/** The same in the order that TensorFlow has it: x * i + (beta - mean * i), i = gamma / root. */
export function spreadNormalizer(node: Node): SpreadNormalizer | undefined {
  for (const [scaled, rest] of operands(node)) {
    const sub = producer(rest, 'Sub');
    const [beta, shifted] = sub?.inputs ?? [];
    const [first, second] = [producer(scaled, 'Mul'), producer(shifted, 'Mul')];
    if (!sub || !beta || !first || !second) continue;
    for (const [x, inverse] of operands(first)) {
      const other = operands(second).find(([, factor]) => factor === inverse);
      const found = other && inverseWithScale(x, inverse);
      if (!found || producer(other[0], 'ReduceMean')?.input(0) !== x) continue;
      for (const step of [node, sub, first, second]) found.matched.add(step);
      return { ...found, beta, output: node.output };
    }
  }
  return undefined;
}

export interface SpreadNormalizer extends Normalizer {
  readonly gamma: Value | undefined;
  readonly beta: Value;
}

/** gamma / sqrt(mean((x - mean)^2) + epsilon) */
function inverseWithScale(x: Value, inverse: Value): Omit<SpreadNormalizer, 'beta'> | undefined {
  const product = producer(inverse, 'Mul');
  for (const [root, gamma] of product ? operands(product) : []) {
    const found = fromInverse(x, root);
    if (product && found) return { ...found, gamma, matched: found.matched.add(product) };
  }
  const found = fromInverse(x, inverse);
  return found && { ...found, gamma: undefined };
}

function fromInverse(x: Value, inverse: Value): Normalizer | undefined {
  const step = inverseRootOf(inverse);
  const node = inverse.producer;
  const sum = withScalar(step?.variance, 'Add');
  const square = producer(producer(sum?.x, 'ReduceMean')?.input(0), 'Pow', 'Mul');
  const difference = square?.input(0);
  const own = difference && centred(difference);
  if (!node || !difference || own?.x !== x) return undefined;
  const found = normalizer(node, difference, step);
  for (const part of own.nodes) found?.matched.add(part);
  return found;
}

function normalizer(node: Node, x: Value, step: Step | undefined): Normalizer | undefined {
  const sum = withScalar(step?.variance, 'Add');
  const mean = producer(sum?.x, 'ReduceMean');
  const square = producer(mean?.input(0), 'Pow', 'Mul');
  const axes = mean && lastAxes(mean);
  if (!step || !sum || !mean || !square || !axes) return undefined;
  const squared = square.op === 'Pow' ? isScalar(square.input(1), 2) : square.input(1) === x;
  if (square.input(0) !== x || !squared) return undefined;
  return {
    x,
    output: node.output,
    epsilon: sum.scalar,
    ...axes,
    matched: new Set([node, ...step.nodes, sum.node, mean, square]),
  };
}

/** The axes of a reduction that keeps them, where they are the last ones. */
export function lastAxes(node: Node): { axis: number; rank: number } | undefined {
  const axes = intsOf(node, 'axes', 1);
  const rank = node.input(0)?.shape?.length;
  if (!axes || rank === undefined || axes.length === 0 || node.int('keepdims', 1) === 0) {
    return undefined;
  }
  const normal = normalAxes(axes, rank);
  const axis = normal[0] as number;
  return normal.every((a, i) => a === axis + i) && axis + normal.length === rank
    ? { axis, rank }
    : undefined;
}

export interface Normalized {
  x: Value;
  output: Value;
  scale: Value | undefined;
  bias: Value | undefined;
}

/** What follows a normalisation: the way out of an island of Casts, a scale, a shift. */
export function withScaleAndShift(
  context: RewriteContext,
  x: Value,
  found: Normalizer,
  shifts: boolean,
): Normalized {
  const result: Normalized = { x, output: found.output, scale: undefined, bias: undefined };
  leaveCasts(result, found.matched);
  result.scale = takeOperand('Mul', result, found, context);
  leaveCasts(result, found.matched);
  if (shifts && result.scale) result.bias = takeOperand('Add', result, found, context);
  leaveCasts(result, found.matched);
  return result;
}

/** Cast up, normalise, cast down: the operator does that by itself (`stash_type`). */
function leaveCasts(result: Normalized, matched: Set<Node>): void {
  const up = producer(result.x, 'Cast');
  const source = up?.input(0);
  const reader = onlyReader(result.output);
  const down = reader && producer(reader.output, 'Cast');
  if (!up || !down || !source || result.scale) return;
  if (source.dtype !== 'float16' && source.dtype !== 'bfloat16') return;
  if (down.output.dtype !== source.dtype || result.x.dtype !== 'float32') return;
  if ([...result.x.uses].every((use) => matched.has(use.node))) matched.add(up);
  matched.add(down);
  result.x = source;
  result.output = down.output;
}

/** The vector that is multiplied with or added to the result, if it is one per normalised element. */
function takeOperand(
  op: 'Mul' | 'Add',
  result: Normalized,
  { x, axis, rank, matched }: Normalizer,
  context: RewriteContext,
): Value | undefined {
  const reader = onlyReader(result.output);
  const node = reader && producer(reader.output, op);
  const [, vector] = (node && operands(node).find(([y]) => y === result.output)) ?? [];
  if (!node || !vector) return undefined;
  const sizes = x.shape?.slice(axis);
  if (!sizes || vector.dtype !== result.output.dtype) return undefined;
  const fitted = fitVector(vector, sizes, rank, context);
  if (!fitted) return undefined;
  matched.add(node);
  result.output = node.output;
  return fitted;
}

export function fitVector(
  vector: Value,
  sizes: readonly unknown[],
  rank: number,
  context: RewriteContext,
): Value | undefined {
  const { shape } = vector;
  if (!shape || shape.length > rank) return undefined;
  const data = constant(vector);
  if (shape.length === sizes.length && shape.every((dim, i) => dim === sizes[i])) return vector;
  const leading = shape.length - sizes.length;
  const isPadded =
    leading > 0 &&
    shape.slice(0, leading).every((dim) => dim === 1) &&
    shape.slice(leading).every((dim, i) => dim === sizes[i]);
  if (!isPadded || !data) return undefined;
  return context.graph.addInitializer(vector.name, data.reshape(data.shape.slice(leading)));
}

/** A scale of ones, for operators that must have one; needs known sizes. */
export function ones(context: RewriteContext, x: Value, axis: number): Value | undefined {
  const sizes = x.shape?.slice(axis);
  if (!sizes?.every((dim) => typeof dim === 'number') || !x.dtype) return undefined;
  const shape = sizes as number[];
  const data = floatTensor(x.dtype, shape, new Float64Array(elementCount(shape)).fill(1));
  return context.graph.addInitializer('ones', data);
}

/** Whether a value is its input minus the mean of it: then it is a layer normalisation. */
export function centred(
  value: Value,
): { x: Value; nodes: readonly Node[]; axis: number } | undefined {
  const sub = producer(value, 'Sub');
  const [x, second] = sub?.inputs ?? [];
  const mean = producer(second, 'ReduceMean');
  const axes = mean && lastAxes(mean);
  if (!sub || !x || !mean || !axes || mean.input(0) !== x) return undefined;
  return { x, nodes: [sub, mean], axis: axes.axis };
}
