// Checks a gradient rule against central differences of fourth order along a random direction:
// (8 (L(x + εv) - L(x - εv)) - (L(x + 2εv) - L(x - 2εv))) / 12ε = ⟨∇L(x), v⟩, with L a random weighting of
// all float outputs. In double precision where onnxruntime has the kernels, else in single.

import { Builder, type Model, type Value } from '../../src/graph/index.ts';
import { inferNode, inferTypes } from '../../src/ops/index.ts';
import { COMPARABLE, createRunner } from '../../src/runtime/runner.ts';
import { type DType, isFloat } from '../../src/tensor/dtype.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { differentiate } from '../../src/train/differentiate.ts';
import { parseModel } from './parse.ts';

/** `text` is a graph in which `T` stands for the float type. */
export interface GradientCase {
  readonly text: string;
  /** Values of float inputs by name: uniform in a range, at least `away` from 0. */
  readonly range?: Readonly<Record<string, readonly [number, number]>>;
  readonly away?: number;
  /** Inputs that are not differentiated. */
  readonly fixed?: Readonly<Record<string, Tensor>>;
  /** Why double precision says nothing: the kernel computes in single. */
  readonly single?: string;
  /** Step in single precision: the larger, the less rounding; any for what is linear in each input. */
  readonly step?: number;
  /** A graph whose slopes the rule is to give, where it does not give those of `text`. */
  readonly surrogate?: string;
}

export interface GradientCheck {
  readonly precision: 'double' | 'single';
  /** Largest relative error over the inputs, and the one it was found in. */
  readonly error: number;
  readonly input: string;
  readonly limit: number;
}

const STEP = { double: 1e-6, single: 1e-2 } as const;
const LIMIT = { double: 1e-6, single: 1e-3 } as const;
const run = createRunner({ ...COMPARABLE, optimization: 'disabled', threads: 1 });

export async function checkGradient(one: GradientCase): Promise<GradientCheck> {
  if (one.single) return check(one, 'single');
  try {
    return await check(one, 'double');
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // No kernel for doubles, or an operator whose type does not allow them.
    if (!/NOT_IMPLEMENTED|Could not find an implementation|Type Error|type .*double/i.test(message))
      throw error;
    return check(one, 'single');
  }
}

async function check(one: GradientCase, precision: 'double' | 'single'): Promise<GradientCheck> {
  const type = precision === 'double' ? 'double' : 'float';
  const model = parsed(one.text, type);
  const inputs = model.graph.inputs.filter((value) => value.dtype && isFloat(value.dtype));
  const checked = inputs.filter((value) => one.fixed?.[value.name] === undefined);
  const loss = weightedSum(model);
  const gradients = differentiate(model, loss, checked);
  model.graph.outputs = [loss, ...gradients.values()];
  const point = feedsAt(one, checked);
  const found = await run(model, point);
  const numeric = one.surrogate ? parsed(one.surrogate, type) : model;
  const numericLoss = one.surrogate ? weightedSum(numeric) : loss;
  numeric.graph.outputs = [numericLoss];
  const step = (precision === 'single' ? one.step : undefined) ?? STEP[precision];
  let worst = { error: 0, input: '' };
  for (const input of checked) {
    const name = gradients.get(input)?.name;
    const gradient = name === undefined ? undefined : numbers(found.get(name));
    const error = await relativeError(numeric, numericLoss, point, input, gradient, step);
    if (!(error <= worst.error)) worst = { error, input: input.name };
  }
  return { precision, ...worst, limit: LIMIT[precision] };
}

function parsed(text: string, type: string): Model {
  const model = parseModel(text.replace(/\bT\b/g, type));
  inferTypes(model);
  return model;
}

function weightedSum(model: Model): Value {
  const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  const sums = model.graph.outputs.flatMap((value, i) => {
    if (!value.dtype || !isFloat(value.dtype)) return [];
    const shape = (value.shape ?? []).map(Number);
    const weights = randomTensor(value.dtype, shape, new Random(i, 'weights'), [-1, 1], 0.2);
    const weighted = g.op('Mul', [value, g.constant('weights', weights)]);
    return [g.op('ReduceSum', [weighted], { keepdims: 0 })];
  });
  return g.op('Sum', sums);
}

function randomTensor(
  dtype: DType,
  shape: readonly number[],
  random: Random,
  [low, high]: readonly [number, number],
  away: number,
): Tensor {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const values = Array.from({ length: size }, () => {
    for (;;) {
      const value = low + (high - low) * random.uniform();
      if (Math.abs(value) >= away) return value;
    }
  });
  return Tensor.of(dtype, shape, values);
}

function feedsAt(one: GradientCase, checked: readonly Value[]): Map<string, Tensor> {
  const feeds = new Map(Object.entries(one.fixed ?? {}));
  for (const { name, dtype = 'float32', shape = [] } of checked) {
    const range = one.range?.[name] ?? [-1, 1];
    const random = new Random(1, name);
    feeds.set(name, randomTensor(dtype, shape.map(Number), random, range, one.away ?? 0.05));
  }
  return feeds;
}

async function relativeError(
  model: Model,
  loss: Value,
  point: Feeds,
  input: Value,
  gradient: number[] | undefined,
  step: number,
): Promise<number> {
  const tensor = point.get(input.name);
  if (!tensor) throw new Error(`no feed for ${input.name}`);
  const random = new Random(2, input.name);
  const base = numbers(tensor);
  const direction = base.map(() => (random.uniform() < 0.5 ? -1 : 1) * (0.5 + random.uniform()));
  const at = async (steps: number) => {
    const moved = base.map((value, i) => value + steps * step * (direction[i] ?? 0));
    const feeds = new Map([...point, [input.name, Tensor.of(tensor.dtype, tensor.shape, moved)]]);
    return numbers((await run(model, feeds)).get(loss.name))[0] ?? Number.NaN;
  };
  const difference = async (steps: number) => (await at(steps)) - (await at(-steps));
  const numeric = (8 * (await difference(1)) - (await difference(2))) / (12 * step);
  const analytic = (gradient ?? []).reduce((sum, g, i) => sum + g * (direction[i] ?? 0), 0);
  const size = Math.max(Math.abs(numeric), Math.abs(analytic), 1e-2);
  return Math.abs(numeric - analytic) / size;
}

function numbers(tensor: Tensor | undefined): number[] {
  if (!tensor) return [];
  return tensor.numbers();
}
