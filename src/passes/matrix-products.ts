// Products of large matrices, by onnxruntime: two graphs that stay loaded while they are needed.

import { Builder, Graph, Model, tensorType, unknownDim } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Loaded, Loader } from './pass.ts';

export class MatrixProducts {
  readonly #load: Loader;
  readonly #loaded = new Map<string, Promise<Loaded>>();

  constructor(load: Loader) {
    this.#load = load;
  }

  /** A B, of A [m, k] and B [k, n], in single precision. */
  async times(a: Float32Array, b: Float32Array, k: number): Promise<Float32Array> {
    const [m, n] = [a.length / k, b.length / k];
    return (await this.#run('float32', 0, a, b, [m, k], [k, n])) as Float32Array;
  }

  /** A B^T, of A [m, k] and B [n, k], in double precision. */
  async timesTransposed(a: Float64Array, b: Float64Array, k: number): Promise<Float64Array> {
    const [m, n] = [a.length / k, b.length / k];
    return (await this.#run('float64', 1, a, b, [m, k], [n, k])) as Float64Array;
  }

  async dispose(): Promise<void> {
    for (const loaded of this.#loaded.values()) await (await loaded).dispose();
    this.#loaded.clear();
  }

  async #run<T extends Float32Array | Float64Array>(
    dtype: 'float32' | 'float64',
    transB: 0 | 1,
    a: T,
    b: T,
    shapeOfA: readonly number[],
    shapeOfB: readonly number[],
  ): Promise<unknown> {
    const loaded = this.#loaded.get(dtype) ?? this.#load(product(dtype, transB));
    this.#loaded.set(dtype, loaded);
    const feeds = new Map([
      ['a', Tensor.of(dtype, shapeOfA, a)],
      ['b', Tensor.of(dtype, shapeOfB, b)],
    ]);
    return (await (await loaded).run(feeds)).get('y')?.values();
  }
}

function product(dtype: 'float32' | 'float64', transB: 0 | 1): Model {
  const graph = new Graph('product');
  const g = new Builder(graph);
  const matrix = () => tensorType(dtype, [unknownDim(), unknownDim()]);
  const y = g.op('Gemm', [g.input('a', matrix()), g.input('b', matrix())], { transB });
  y.type = matrix();
  g.output(y, 'y');
  return new Model(graph, new Map([['', 13]]), 8);
}
