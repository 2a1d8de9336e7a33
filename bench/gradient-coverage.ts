// Gradients of one model: `node FILE MODEL|ARCH CHOICES FOLDER [--no-run]`. Prints one JSON object, and
// leaves model, inputs, loss and gradients in the folder, for others to compute the same.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { architectureNamed } from '../src/archs/index.ts';
import { checkSamples } from '../src/cli/check-samples.ts';
import { chooseParameters, plainModel } from '../src/cli/train/prepare.ts';
import type { Model, Value } from '../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../src/onnx/index.ts';
import { inferTypes } from '../src/ops/index.ts';
import { COMPARABLE, type LoadedModel, loadModel } from '../src/runtime/runner.ts';
import { elementCount, isFloat } from '../src/tensor/dtype.ts';
import type { Feeds } from '../src/tensor/feeds.ts';
import { Random } from '../src/tensor/random.ts';
import { Tensor } from '../src/tensor/tensor.ts';
import { differentiate, withoutRules } from '../src/train/differentiate.ts';
import { Formula } from '../src/train/formula.ts';
import { openFused } from '../src/train/open.ts';
import { asInput } from '../src/train/step.ts';
import { npyBytes, npzBytes } from '../test/data/npy.ts';

/** Steps of the differences, in units of a weight's root mean square; the best of them counts. */
const STEPS = [1e-2, 1e-3, 3e-4, 1e-4, 3e-5];
const ENOUGH = 1e-4;

interface Loss {
  readonly value: Value;
  /** What each output is weighted with. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

function floatOutputs(model: Model): Value[] {
  return model.graph.outputs.filter(({ dtype }) => dtype && isFloat(dtype));
}

/** Σ of all outputs, each weighted with seeded noise. */
function lossOf(model: Model): Loss {
  const f = new Formula(model);
  const weights = new Map<string, Float32Array>();
  const sums = floatOutputs(model).map((output) => {
    const shape = (output.shape ?? []).map(Number);
    if (shape.some(Number.isNaN)) throw new Error(`the size of "${output.name}" is not known`);
    const size = elementCount(shape);
    const random = new Random(5, output.name);
    const given = Float32Array.from({ length: size }, () => random.normal() / Math.sqrt(size));
    weights.set(output.name, given);
    const constant = f.g.constant('weights', Tensor.of('float32', shape, given));
    return f.sum(f.mul(f.cast(output, 'float32'), constant));
  });
  return { value: f.total(sums), weights };
}

function lossAt(found: Feeds, weights: Loss['weights']): number {
  let sum = 0;
  for (const [name, given] of weights) sum += dot(numbersOf(found.get(name)), given);
  return sum;
}

type Numbers = ArrayLike<number>;

/** Relative error of the slope along a direction that is half gradient, half noise, weight by weight. */
async function slopeError(
  session: LoadedModel,
  weights: Loss['weights'],
  feeds: Feeds,
  gradients: ReadonlyMap<string, Numbers>,
): Promise<number> {
  const directions = new Map<string, Float32Array>();
  let slope = 0;
  for (const [name, gradient] of gradients) {
    const size = rootMeanSquare(numbersOf(feeds.get(name))) || 1e-2;
    const steep = rootMeanSquare(gradient) || 1;
    const random = new Random(6, name);
    const direction = Float32Array.from(
      gradient,
      (g) => size * (g / steep + (random.uniform() < 0.5 ? -1 : 1)),
    );
    directions.set(name, direction);
    slope += dot(gradient, direction);
  }
  const at = async (step: number) => {
    const moved = new Map(feeds);
    for (const [name, direction] of directions) {
      const tensor = feeds.get(name) as Tensor;
      const own = numbersOf(tensor);
      const values = direction.map((d, i) => (own[i] ?? 0) + step * d);
      moved.set(name, Tensor.of(tensor.dtype, tensor.shape, values));
    }
    return lossAt(await session.run(moved, [...weights.keys()]), weights);
  };
  let best = Number.POSITIVE_INFINITY;
  for (const step of STEPS) {
    const numeric = ((await at(step)) - (await at(-step))) / (2 * step);
    const error = Math.abs(numeric - slope) / Math.max(Math.abs(numeric), Math.abs(slope), 1e-12);
    best = Math.min(best, error);
    if (best < ENOUGH) break;
  }
  return best;
}

function numbersOf(tensor: Tensor | undefined): Numbers {
  if (tensor?.dtype === 'float32') return tensor.values() as Float32Array;
  return tensor?.numbers() ?? [];
}

function dot(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function rootMeanSquare(values: Numbers): number {
  return Math.sqrt(dot(values, values) / Math.max(1, values.length));
}

const DESCR: Readonly<Record<string, string>> = {
  float32: '<f4',
  float64: '<f8',
  float16: '<f2',
  int64: '<i8',
  int32: '<i4',
  bool: '|b1',
};

function npz(tensors: Iterable<readonly [string, Tensor]>): Uint8Array {
  const entries = [...tensors].flatMap(([name, tensor]) => {
    const descr = DESCR[tensor.dtype];
    const bytes = descr && npyBytes(descr, tensor.shape, tensor.bytes());
    return bytes ? [[encodeURIComponent(name).replaceAll('.', '%2E'), bytes] as const] : [];
  });
  return npzBytes(Object.fromEntries(entries));
}

async function leave(folder: string, model: Model, parts: Readonly<Record<string, Feeds>>) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), await encodeModel(model));
  for (const [name, tensors] of Object.entries(parts)) {
    writeFileSync(join(folder, `${name}.npz`), npz(tensors));
  }
}

/** Biases of 0 put many activations just at the kink of a Relu. */
function uneven(model: Model): Model {
  for (const value of model.graph.initializers) {
    const { data } = value;
    if (data?.dtype !== 'float32' || data.shape.length !== 1) continue;
    const random = new Random(3, value.name);
    const moved = data.numbers().map((number) => number + 0.05 * random.normal());
    model.graph.setData(value, Tensor.of('float32', data.shape, moved));
  }
  return model;
}

async function measure(name: string, choices: string, folder: string) {
  const isFile = name.endsWith('.onnx');
  // Initial weights are made when the writer reaches them.
  const made = () => architectureNamed(name).build(JSON.parse(choices), 0);
  const original = isFile ? readModel(name) : uneven(decodeModel(await encodeModel(made())));
  const sample = checkSamples(original, 7).at(-1) ?? new Map<string, Tensor>();
  const batch = [...sample.values()].find(({ shape }) => shape.length > 0)?.shape[0] ?? 1;
  const plain = await plainModel(original, batch, sample);
  openFused(plain);
  const forward = plain.clone();
  const { trained: all } = chooseParameters(plain, []);
  inferTypes(plain);
  const sizes = all.map(({ data }) => elementCount(data?.shape ?? []));
  const elements = sizes.reduce((sum, size) => sum + size, 0);
  const loss = lossOf(plain);
  const missing = withoutRules(plain, loss.value, all);
  const lost = new Set(missing.flatMap(({ behind }) => behind));
  const trained = all.filter((value) => !lost.has(value.name));
  const data = new Map(trained.map((value) => [value.name, asInput(plain, value)] as const));
  const gradients = differentiate(plain, loss.value, trained);
  const reached = trained.filter((value) => gradients.has(value));
  const covered = reached.reduce(
    (sum, { name }) => sum + elementCount(data.get(name)?.shape ?? []),
    0,
  );
  const result = {
    parameters: all.length,
    elements,
    covered,
    missing: [...new Set(missing.map(({ node }) => node.op))],
    unused: trained.length - reached.length,
    rounds: [...plain.graph.nodes].some(({ op }) => /Quantize|^Round$|^Floor$|^Sign$/.test(op)),
  };
  if (process.argv.includes('--no-run') || reached.length === 0) return result;
  const names = [...loss.weights.keys()];
  plain.graph.outputs = [...floatOutputs(plain), ...gradients.values()];
  const session = await loadModel(plain, COMPARABLE);
  try {
    const feeds: Feeds = new Map([...sample, ...data]);
    const found = await session.run(feeds);
    const numbers = new Map(
      [...gradients].map(([{ name }, own]) => [name, numbersOf(found.get(own.name))] as const),
    );
    const allFinite = [...numbers.values()].every((list) => Number.isFinite(dot(list, list)));
    const own = [...gradients].map(([{ name }, g]) => [name, found.get(g.name) as Tensor] as const);
    const given = names.map((output) => {
      const shape = found.get(output)?.shape ?? [];
      return [output, Tensor.of('float32', shape, loss.weights.get(output) ?? [])] as const;
    });
    await leave(folder, forward, {
      feeds: sample,
      weights: new Map(given),
      outputs: new Map(names.map((output) => [output, found.get(output) as Tensor] as const)),
      gradients: new Map(own),
    });
    if (!allFinite) return { ...result, failed: 'a gradient is not finite' };
    return { ...result, error: await slopeError(session, loss.weights, feeds, numbers) };
  } finally {
    await session.dispose();
  }
}

const [, , name = '', choices = '{}', folder = ''] = process.argv;
process.stdout.write(`${JSON.stringify(await measure(name, choices, folder))}\n`);
process.exit(0);
