// What the calibration data says about the inputs of layers: G = X^T X [K, K] and the mean magnitude
// of each of the K, summed up batch by batch; the products are run by onnxruntime.

import { activationNotFinite } from '../../errors/model.ts';
import {
  Builder,
  Graph,
  Model,
  type Node,
  tensorType,
  unknownDim,
  type Value,
} from '../../graph/index.ts';
import { elementsOf } from '../../tensor/elements.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Calibration, QuantizeContext } from './context.ts';

export interface Gram {
  readonly width: number;
  /** Rows of X that were seen. */
  rows: number;
  /** [width, width] */
  readonly matrix: Float32Array;
  /** Sum of |x| per input. */
  readonly magnitude: Float64Array;
}

/** A value whose rows are inputs of layers. */
export interface Observed {
  readonly value: Value;
  readonly width: number;
  /** Some node that reads it, for messages. */
  readonly node: Node;
}

/** Bytes of matrices that are summed up at a time; values beyond are observed in another pass. */
const BUDGET_BYTES = 512 << 20;
/** Bytes of rows that are multiplied at a time. */
const ROWS_BYTES = 8 << 20;

/** Cuts a list where the matrices of its values fill the memory. */
export function inGroups<T>(
  items: readonly T[],
  observedOf: (item: T) => readonly Observed[],
): T[][] {
  const groups: T[][] = [];
  const values = new Set<Value>();
  let room = 0;
  for (const item of items) {
    const fresh = observedOf(item).filter(({ value }) => !values.has(value));
    const bytes = fresh.reduce((sum, { width }) => sum + 4 * width * width, 0);
    const group = groups.at(-1);
    if (group && bytes <= room) {
      group.push(item);
      room -= bytes;
    } else {
      groups.push([item]);
      values.clear();
      room = BUDGET_BYTES - bytes;
    }
    for (const { value } of observedOf(item)) values.add(value);
  }
  return groups;
}

/** Sums up over all of the calibration data. */
export async function observeGrams(
  model: Model,
  observed: readonly Observed[],
  calibration: Calibration,
  context: QuantizeContext,
): Promise<Map<Value, Gram>> {
  const sums = new Map<string, Summation>();
  for (const one of observed) {
    if (!sums.has(one.value.name)) sums.set(one.value.name, new Summation(one, model, context));
  }
  await calibration.observe(model, [...sums.keys()], async (name, tensor) => {
    await sums.get(name)?.add(tensor);
  });
  const grams = new Map<Value, Gram>();
  for (const sum of sums.values()) grams.set(sum.observed.value, await sum.finish());
  return grams;
}

class Summation {
  readonly observed: Observed;
  readonly #model: Model;
  readonly #context: QuantizeContext;
  readonly #gram: Gram;
  readonly #rows: Float32Array;
  #filled = 0;

  constructor(observed: Observed, model: Model, context: QuantizeContext) {
    const { width } = observed;
    this.observed = observed;
    this.#model = model;
    this.#context = context;
    this.#gram = {
      width,
      rows: 0,
      matrix: new Float32Array(width * width),
      magnitude: new Float64Array(width),
    };
    this.#rows = new Float32Array(Math.max(1, Math.floor(ROWS_BYTES / 4 / width)) * width);
  }

  async add(tensor: Tensor): Promise<void> {
    const values = elementsOf(tensor) as Float32Array;
    for (let at = 0; at < values.length; ) {
      const count = Math.min(values.length - at, this.#rows.length - this.#filled);
      this.#rows.set(values.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.#rows.length) await this.#multiply();
    }
  }

  async finish(): Promise<Gram> {
    if (this.#filled > 0) await this.#multiply();
    return this.#gram;
  }

  async #multiply(): Promise<void> {
    const { width, matrix, magnitude } = this.#gram;
    const rows = this.#rows.slice(0, this.#filled);
    const count = rows.length / width;
    const x = Tensor.of('float32', [count, width], rows);
    const product = (await this.#context.run(squareModel(width), new Map([['x', x]]))).get('y');
    const values = product?.values() as Float32Array;
    for (let i = 0; i < matrix.length; i++) {
      matrix[i] = (matrix[i] as number) + (values[i] as number);
    }
    for (let i = 0, k = 0; i < rows.length; i++, k = k + 1 === width ? 0 : k + 1) {
      magnitude[k] = (magnitude[k] as number) + Math.abs(rows[i] as number);
    }
    if (!magnitude.every(Number.isFinite)) {
      const { value, node } = this.observed;
      throw activationNotFinite(value.name, node.describe(), this.#model.path);
    }
    this.#gram.rows += count;
    this.#filled = 0;
  }
}

/** y = x^T x */
function squareModel(width: number): Model {
  const graph = new Graph('square');
  const g = new Builder(graph);
  const x = g.input('x', tensorType('float32', [unknownDim(), width]));
  const y = g.op('Gemm', [x, x], { transA: 1 });
  y.type = tensorType('float32', [width, width]);
  g.output(y, 'y');
  return new Model(graph, new Map([['', 13]]), 8);
}
