// Random graphs of one family of operators over inputs of symbolic sizes: inferred once with symbols,
// run by onnxruntime with several sizes, compared value by value.

import * as ort from 'onnxruntime-node';
import {
  Builder,
  type Dim,
  Graph,
  isUnknown,
  Model,
  type Node,
  printDim,
  substitute,
  symbol,
  tensorType,
  type Value,
} from '../../src/graph/index.ts';
import { encodeModel } from '../../src/onnx/index.ts';
import { inferNode, inferTypes } from '../../src/ops/index.ts';
import { elementCount } from '../../src/tensor/dtype.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const OPSET = 18;

/** What a generator of steps works with. */
export class Workshop {
  readonly random: Random;
  readonly g: Builder;
  /** Values that steps may read. */
  readonly values: Value[] = [];

  constructor(seed: number, model: Model) {
    this.random = new Random(seed);
    this.g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.integer(list.length)] as T;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.random.integer(high - low + 1);
  }

  scalar(value: number): Value {
    return this.g.constant('scalar', Tensor.scalar('int64', value));
  }

  list(...values: number[]): Value {
    return this.g.constant('list', Tensor.int64(values));
  }

  float(value: number): Value {
    return this.g.constant('float', Tensor.scalar('float32', value));
  }
}

export interface Recipe {
  readonly inputs: Readonly<Record<string, readonly (string | number)[]>>;
  /** Puts the first values there, before any step. */
  start(shop: Workshop, inputs: readonly Value[]): void;
  /** Adds one node, or a few; may do nothing where nothing fits. */
  step(shop: Workshop): void;
  readonly steps: number;
}

export interface Comparison {
  /** Elements, and sizes, that were known and compared. */
  readonly elements: number;
  readonly sizes: number;
  readonly differences: readonly string[];
}

/** Recipes make only graphs that run: what we call contradictory is a difference. */
export async function compareWithRuntime(
  recipe: Recipe,
  seed: number,
  sizes: readonly Readonly<Record<string, number>>[],
): Promise<Comparison> {
  const model = new Model(new Graph('random'), new Map([['', OPSET]]), 10);
  const shop = new Workshop(seed, model);
  const inputs = Object.entries(recipe.inputs).map(([name, shape]) => {
    const dims = shape.map((dim) => (typeof dim === 'number' ? dim : symbol(dim)));
    return shop.g.input(name, tensorType('float32', dims));
  });
  recipe.start(shop, inputs);
  for (let i = 0; i < recipe.steps; i++) recipe.step(shop);
  const made = [...model.graph.nodes].flatMap((node) => node.outputs);
  // onnxruntime finds out the shapes itself: ours must not reach it.
  const types = made.map((value) => value.type);
  for (const value of made) value.type = tensorType(value.dtype);
  model.graph.outputs = made;
  const bytes = await encodeModel(model);
  made.forEach((value, i) => {
    value.type = types[i];
  });
  const differences = inferTypes(model).map((problem) => problem.message);
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
  });
  const total = { elements: 0, sizes: 0, differences };
  for (const given of sizes) {
    const results = await session.run(feedsOf(recipe, given));
    for (const value of made) compare(value, results[value.name], given, total);
  }
  await session.release();
  return total;
}

function feedsOf(recipe: Recipe, sizes: Readonly<Record<string, number>>) {
  return Object.fromEntries(
    Object.entries(recipe.inputs).map(([name, shape]) => {
      const dims = shape.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim] ?? 1)));
      return [name, new ort.Tensor('float32', new Float32Array(elementCount(dims)), dims)];
    }),
  );
}

function compare(
  value: Value,
  seen: ort.Tensor | undefined,
  given: Readonly<Record<string, number>>,
  total: { elements: number; sizes: number; differences: string[] },
): void {
  if (!seen) return;
  const sizes = new Map<string, Dim>(Object.entries(given));
  const told = (dims: readonly Dim[] | undefined) =>
    dims?.map((dim) => (isUnknown(dim) ? undefined : substitute(dim, sizes)));
  const shape = told(value.shape);
  const known = told(value.known);
  const elements = known && Array.from(seen.data as ArrayLike<bigint | number>, Number);
  total.sizes += shape?.filter((dim) => dim !== undefined).length ?? 0;
  total.elements += known?.filter((dim) => dim !== undefined).length ?? 0;
  const differs = (ours: readonly unknown[] | undefined, theirs: readonly number[] = []) =>
    ours !== undefined &&
    (ours.length !== theirs.length ||
      ours.some((dim, i) => dim !== undefined && dim !== theirs[i]));
  if (!differs(shape, seen.dims) && !differs(known, elements)) return;
  const ours = `[${value.shape?.join(', ')}]${known ? ` {${value.known?.join(', ')}}` : ''}`;
  const theirs = `[${seen.dims.join(', ')}]${elements ? ` {${elements.join(', ')}}` : ''}`;
  const at = JSON.stringify(given);
  total.differences.push(`${describe(value.producer)} is ${ours}, seen ${theirs} at ${at}`);
}

function describe(node: Node | undefined): string {
  if (!node) return 'input';
  const inputs = node.inputs.map((v) => {
    const elements = v?.known?.map(printDim) ?? v?.data?.numbers();
    return elements ? `{${elements.join(', ')}}` : `[${v?.shape?.join(', ')}]`;
  });
  const attrs = [...node.attrs].map(([name, { value }]) => `${name}=${String(value)}`);
  return `${node.op}(${[...inputs, ...attrs].join(', ')})`;
}
