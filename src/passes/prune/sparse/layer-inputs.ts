// What data says about the inputs of a product, [rows of X, width]: sums of squares of each input, or
// all their products X^T X, for each of its groups. Convolutions are seen as products with the patches
// they read. Sums over many rows are made by onnxruntime; products that read the same share them.

import { activationNotFinite } from '../../../errors/model.ts';
import { Builder, Graph, Model, tensorType, unknownDim, type Value } from '../../../graph/index.ts';
import { elementsOf } from '../../../tensor/elements.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { Loaded, Loader } from '../../pass.ts';
import { patches, windowKey } from './patches.ts';
import type { Product } from './products.ts';

/** Streams the values of a model over data. */
export interface Observer {
  observe(
    model: Model,
    names: readonly string[],
    visit: (name: string, tensor: Tensor) => void | Promise<void>,
  ): Promise<void>;
  /** Whatever is observed from now on follows from these values, with weights as they are now. */
  advance?(model: Model, names: readonly string[]): Promise<void>;
}

export type Wanted = 'squares' | 'gram';

/** Sums over all data, in double precision: [groups, width] or [groups, width, width]. */
export type InputSums = Float64Array;

/** Why the inputs of a product cannot be looked at. */
export function inputsHidden({ node }: Product): string | undefined {
  return node.op === 'Gemm' && node.int('transA', 0) === 1
    ? 'it transposes its first operand'
    : undefined;
}

/** Equal for products that see the same inputs. */
export function inputsKey({ node, data, width, groups }: Product): string {
  const seen = `${node.input(0)?.name} ${groups} ${width}`;
  if (node.op !== 'Conv') return seen;
  return `${seen} ${data.shape.slice(2)} ${windowKey(node)}`;
}

/** Elements of the sums. */
export function sumsSize({ width, groups }: Product, wanted: Wanted): number {
  return groups * (wanted === 'gram' ? width * width : width);
}

/** Sums by `inputsKey`. */
export async function sumInputs(
  model: Model,
  products: readonly Product[],
  wanted: Wanted,
  observer: Observer,
  load: Loader,
): Promise<Map<string, InputSums>> {
  const open = new Map<string, Summation>();
  for (const product of products) {
    const key = inputsKey(product);
    if (!open.has(key)) open.set(key, new Summation(product, wanted, load));
  }
  const summations = [...open.values()];
  const names = new Set(summations.map(({ input }) => input));
  await observer.observe(model, [...names], async (name, tensor) => {
    for (const one of summations) if (one.input === name) await one.add(tensor);
  });
  const found = new Map<string, InputSums>();
  for (const [key, one] of open) found.set(key, await one.finish(model));
  return found;
}

/** Bytes of rows that are multiplied at a time. */
const ROWS_BYTES = 8 << 20;

class Summation {
  readonly input: string;
  readonly #product: Product;
  readonly #wanted: Wanted;
  readonly #load: Loader;
  readonly #sums: Float64Array;
  /** Batches that wait to be multiplied together, as rows; of convolutions there are none. */
  #waiting: Tensor[] = [];
  #loaded: Promise<Loaded> | undefined;

  constructor(product: Product, wanted: Wanted, load: Loader) {
    this.input = product.node.input(0)?.name ?? '';
    this.#product = product;
    this.#wanted = wanted;
    this.#load = load;
    this.#sums = new Float64Array(sumsSize(product, wanted));
  }

  async add(tensor: Tensor): Promise<void> {
    if (this.#product.node.op === 'Conv') {
      for (const part of this.#samples(tensor)) await this.#sum(part);
      return;
    }
    const { width } = this.#product;
    this.#waiting.push(tensor.reshape([tensor.size / width, width]));
    const bytes = this.#waiting.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytes >= ROWS_BYTES) await this.#sum(this.#rows());
  }

  async finish(model: Model): Promise<InputSums> {
    if (this.#waiting.length > 0) await this.#sum(this.#rows());
    await (await this.#loaded)?.dispose();
    if (!this.#sums.every(Number.isFinite)) {
      throw activationNotFinite(this.input, this.#product.node.describe(), model.path);
    }
    return this.#sums;
  }

  /** All that waits, as one tensor. */
  #rows(): Tensor {
    const parts = this.#waiting;
    this.#waiting = [];
    const { width } = this.#product;
    const rows = new Float32Array(parts.reduce((sum, { size }) => sum + size, 0));
    let at = 0;
    for (const part of parts) {
      rows.set(elementsOf(part) as Float32Array, at);
      at += part.size;
    }
    return Tensor.of('float32', [rows.length / width, width], rows);
  }

  /** Parts of a batch whose patches are of a moderate size. */
  *#samples(tensor: Tensor): Generator<Tensor> {
    const [count = 1, ...shape] = tensor.shape;
    const places = this.#product.data.shape.slice(2).reduce((a, b) => a * b, 1);
    const each = tensor.size / count;
    const step = Math.max(1, Math.floor((4 * ROWS_BYTES) / (4 * each * places)));
    const values = elementsOf(tensor) as Float32Array;
    for (let from = 0; from < count; from += step) {
      const part = values.subarray(from * each, Math.min(count, from + step) * each);
      yield Tensor.of('float32', [part.length / each, ...shape], part);
    }
  }

  async #sum(x: Tensor): Promise<void> {
    this.#loaded ??= this.#load(sumModel(this.#product, this.#wanted));
    const found = await (await this.#loaded).run(new Map([['x', x]]));
    const values = found.get('sums')?.values() as Float32Array;
    const sums = this.#sums;
    for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (values[i] as number);
  }
}

/** x → sums */
function sumModel(product: Product, wanted: Wanted): Model {
  const graph = new Graph('inputs');
  const g = new Builder(graph);
  const rank = product.node.op === 'Conv' ? product.data.shape.length : 2;
  const x = g.input('x', tensorType('float32', Array.from({ length: rank }, unknownDim)));
  const rows = patches(g, product, x);
  const sums =
    wanted === 'gram'
      ? gram(g, product, rows)
      : g.op('ReduceSum', [g.op('Mul', [rows, rows]), g.constant('axes', Tensor.int64([0]))], {
          keepdims: 0,
        });
  sums.type = tensorType('float32', undefined);
  g.output(sums, 'sums');
  return new Model(graph, new Map([['', 13]]), 8);
}

/** X^T X of each group. */
function gram(g: Builder, { groups, width }: Product, rows: Value): Value {
  if (groups === 1) return g.op('Gemm', [rows, rows], { transA: 1 });
  const shape = g.constant('groups', Tensor.int64([-1, groups, width]));
  const apart = g.op('Reshape', [rows, shape]);
  const [left, right] = [
    [1, 2, 0],
    [1, 0, 2],
  ].map((perm) => g.op('Transpose', [apart], { perm })) as [Value, Value];
  return g.op('MatMul', [left, right]);
}
