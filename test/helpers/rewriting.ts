// Builds a small model, applies passes until nothing changes, and runs both in onnxruntime: what is
// left of the graph, which reasons were given, and whether the results agree.

import {
  Builder,
  checkModel,
  Graph,
  Model,
  type Shape,
  symbol,
  tensorType,
  type Value,
} from '../../src/graph/index.ts';
import { inferNode } from '../../src/ops/index.ts';
import { passes } from '../../src/passes/index.ts';
import type { Level, Pass } from '../../src/passes/pass.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import { type DType, elementCount, isFloat } from '../../src/tensor/dtype.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { floatTensor } from '../../src/tensor/scale.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** Makes the parts of a test model. */
export class Sketch {
  readonly g: Builder;
  readonly feeds = new Map<string, Tensor>();
  readonly #random = new Random(0);

  constructor(model: Model) {
    this.g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  }

  /** A graph input with normally distributed values; `[name, size]` is a symbolic dimension. */
  input(
    name: string,
    shape: readonly (number | readonly [string, number])[],
    dtype: DType = 'float32',
  ): Value {
    const dims: Shape = shape.map((dim) => (typeof dim === 'number' ? dim : symbol(dim[0])));
    const sizes = shape.map((dim) => (typeof dim === 'number' ? dim : dim[1]));
    this.feeds.set(name, this.#normal(sizes, dtype, 1));
    return this.g.input(name, tensorType(dtype, dims));
  }

  /** A constant of small random numbers. */
  weight(shape: readonly number[], dtype: DType = 'float32'): Value {
    return this.g.constant('w', this.#normal(shape, dtype, 0.3));
  }

  /** A constant of positive numbers. */
  positive(shape: readonly number[], dtype: DType = 'float32'): Value {
    const values = Float64Array.from(
      { length: elementCount(shape) },
      () => 0.5 + this.#random.uniform(),
    );
    return this.g.constant('p', floatTensor(dtype, shape, values));
  }

  scalar(value: number, dtype: DType = 'float32', shape: readonly number[] = []): Value {
    return this.g.constant('c', floatTensor(dtype, shape, Float64Array.of(value)));
  }

  ints(...values: number[]): Value {
    return this.g.constant('i', Tensor.int64(values));
  }

  #normal(shape: readonly number[], dtype: DType, deviation: number): Tensor {
    const values = Float64Array.from(
      { length: elementCount(shape) },
      () => this.#random.normal() * deviation,
    );
    return floatTensor(dtype, shape, values);
  }
}

export interface RewriteCase {
  readonly opset: number;
  readonly level?: Level;
  /** Names of the passes to apply, in the order of the list of passes. */
  readonly passes: readonly string[];
  /** Returns the outputs. */
  build(s: Sketch): Value | readonly Value[];
}

export interface Rewritten {
  /** Operators left, in order; those of com.microsoft with `ms.` before them. */
  readonly ops: string[];
  readonly reasons: string[];
  readonly model: Model;
}

const run = createRunner();

/** Applies the passes; throws where the result is broken or computes something else. */
export async function rewriteAndCompare(test: RewriteCase): Promise<Rewritten> {
  const model = new Model(new Graph('test'), new Map([['', test.opset]]), test.opset > 21 ? 11 : 8);
  const sketch = new Sketch(model);
  const outputs = [test.build(sketch)].flat();
  outputs.forEach((output, i) => {
    sketch.g.output(output as Value, `result${i}`);
  });
  const copy = model.clone();
  const reasons = await applyPasses(copy, test.passes, test.level ?? 'basic');
  const problems = checkModel(copy);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  await compareModels(model, copy, sketch.feeds);
  const ops = [...copy.graph.nodes].map((n) => (n.domain ? `ms.${n.op}` : n.op));
  return { ops, reasons, model: copy };
}

/** To a fixed point; the reasons of the last round are returned. */
export async function applyPasses(
  model: Model,
  names: readonly string[],
  level: Level,
): Promise<string[]> {
  const chosen = names.map((name) => passNamed(name));
  for (let round = 0; round < 10; round++) {
    const reasons: string[] = [];
    const context = { run, level, note: (_: unknown, reason: string) => reasons.push(reason) };
    let changed = false;
    for (const pass of chosen) changed = (await pass.run(model, context)) || changed;
    if (!changed) return reasons;
  }
  throw new Error('no fixed point');
}

function passNamed(name: string): Pass {
  const found = passes.find((pass) => pass.name === name);
  if (!found) throw new Error(`there is no pass "${name}"`);
  return found;
}

/** Throws where an output of the second model differs from that of the first. */
export async function compareModels(
  before: Model,
  after: Model,
  feeds: Feeds,
  tolerance = { rtol: 1e-3, atol: 1e-5 },
): Promise<void> {
  const [expected, actual] = [await run(before, feeds), await run(after, feeds)];
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (!other) throw new Error(`output "${name}" is missing`);
    const half = tensor.dtype === 'float16' ? { rtol: 2e-2, atol: 1e-2 } : tolerance;
    const found = compareTensors(tensor, other, half);
    if (!found.equal) throw new Error(`output "${name}" differs: ${JSON.stringify(found)}`);
  }
}

/** Feeds for every input: sizes not given are 2, whole numbers small enough to index anything. */
export function randomFeeds(model: Model, sizes: Readonly<Record<string, number>> = {}): Feeds {
  const random = new Random(1);
  const feeds = new Map<string, Tensor>();
  for (const { name, dtype = 'float32', shape = [], data } of model.graph.inputs) {
    if (data) continue;
    const dims = shape.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim.key] ?? 2)));
    const count = elementCount(dims);
    if (isFloat(dtype)) {
      const values = Float64Array.from({ length: count }, () => random.uniform());
      feeds.set(name, floatTensor(dtype, dims, values));
    } else {
      const values = Array.from({ length: count }, () => random.integer(2));
      feeds.set(name, Tensor.of(dtype, dims, values));
    }
  }
  return feeds;
}
