// What data says about the inputs of a product, [rows of X, width]: sums of squares of each input, or
// all their products X^T X. Convolutions are seen as products with the patches they read. Sums over a
// batch are made by onnxruntime.

import { Builder, Graph, Model, tensorType, unknownDim, type Value } from '../../../graph/index.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { Runner } from '../../pass.ts';
import type { Product } from './products.ts';

/** Streams the values of a model over data: see `calibrate`. */
export interface Observer {
  observe(
    model: Model,
    names: readonly string[],
    visit: (name: string, tensor: Tensor) => void | Promise<void>,
  ): Promise<void>;
}

export type Wanted = 'squares' | 'gram';

/** Sums over all data, in double precision: [width] or [width, width]. */
export interface LayerInputs {
  readonly sums: Float64Array;
  rows: number;
}

/** Why the inputs of a product cannot be looked at. */
export function inputsHidden({ node }: Product): string | undefined {
  if (node.op === 'Conv' && node.int('group', 1) !== 1) return 'a grouped convolution';
  if (node.op === 'Conv' && node.string('auto_pad', 'NOTSET') !== 'NOTSET') {
    return 'its padding is not written out';
  }
  if (node.op === 'Gemm' && node.int('transA', 0) === 1) return 'it transposes its first operand';
  return undefined;
}

export async function layerInputs(
  model: Model,
  products: readonly Product[],
  wanted: Wanted,
  observer: Observer,
  run: Runner,
): Promise<Map<Product, LayerInputs>> {
  const found = new Map<Product, LayerInputs>();
  const readers = new Map<string, Product[]>();
  for (const product of products) {
    const size = wanted === 'gram' ? product.width ** 2 : product.width;
    found.set(product, { sums: new Float64Array(size), rows: 0 });
    const name = product.node.input(0)?.name ?? '';
    readers.set(name, [...(readers.get(name) ?? []), product]);
  }
  await observer.observe(model, [...readers.keys()], async (name, tensor) => {
    for (const product of readers.get(name) ?? []) {
      const inputs = found.get(product) as LayerInputs;
      const results = await run(sumModel(product, wanted), new Map([['x', tensor]]));
      const values = results.get('sums')?.values() as Float32Array;
      for (let i = 0; i < values.length; i++) {
        inputs.sums[i] = (inputs.sums[i] as number) + (values[i] as number);
      }
      inputs.rows += Number(results.get('rows')?.values()[0] ?? 0);
    }
  });
  return found;
}

/** x → sums, rows */
function sumModel(product: Product, wanted: Wanted): Model {
  const graph = new Graph('inputs');
  const g = new Builder(graph);
  const rank = product.node.op === 'Conv' ? product.data.shape.length : undefined;
  const shape = rank === undefined ? undefined : Array.from({ length: rank }, unknownDim);
  const x = g.input('x', tensorType('float32', shape));
  const rows = patches(g, product, x);
  const axes = g.constant('axes', Tensor.int64([0]));
  const sums =
    wanted === 'gram'
      ? g.op('Gemm', [rows, rows], { transA: 1 })
      : g.op('ReduceSum', [g.op('Mul', [rows, rows]), axes], { keepdims: 0 });
  const count = g.op('Slice', [g.op('Shape', [rows]), axes, g.constant('one', Tensor.int64([1]))]);
  sums.type = tensorType('float32', undefined);
  count.type = tensorType('int64', [1]);
  g.output(sums, 'sums');
  g.output(count, 'rows');
  return new Model(graph, new Map([['', 13]]), 8);
}

/** X [rows, width]: what each output is a weighted sum of. */
export function patches(g: Builder, { node, width, data }: Product, x: Value): Value {
  const flat = (value: Value) =>
    g.op('Reshape', [value, g.constant('shape', Tensor.int64([-1, width]))]);
  if (node.op !== 'Conv') return flat(x);
  // A depthwise convolution with one kernel for each place picks the elements of every patch.
  const [, channels = 1, ...kernel] = data.shape;
  const places = kernel.reduce((a, b) => a * b, 1);
  const picks = new Float32Array(channels * places * places);
  for (let i = 0; i < channels * places; i++) picks[i * places + (i % places)] = 1;
  const weight = Tensor.of('float32', [channels * places, 1, ...kernel], picks);
  const attrs = Object.fromEntries(
    ['pads', 'strides', 'dilations'].flatMap((name) => {
      const values = node.ints(name);
      return values ? [[name, values]] : [];
    }),
  );
  const picked = g.op('Conv', [x, g.constant('picks', weight)], { ...attrs, group: channels });
  const perm = [0, ...kernel.map((_, i) => i + 2), 1];
  return flat(g.op('Transpose', [picked], { perm }));
}
