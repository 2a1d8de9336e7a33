// Weights and biases of statically quantised products. Weights have a scale per output channel, biases
// are int32 with the product of the scales of activation and weight, both stored as integers behind a
// DequantizeLinear. A bias that would not fit makes the scale of its weight channel larger, as
// onnxruntime's own tool does.

import { weightNotFinite } from '../../errors/model.ts';
import { Builder, type Model, type Node, type Value } from '../../graph/index.ts';
import { constantData, inferNode } from '../../ops/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import { roundHalfEven } from '../../tensor/affine.ts';
import { type Affines, type ArrayScheme, affinesOf, codesOf } from '../../tensor/affine-array.ts';
import { byteLengthOf, type DType } from '../../tensor/dtype.ts';
import { elementsOf } from '../../tensor/elements.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { dropUnused } from '../match.ts';
import type { QuantizeContext } from './context.ts';
import { Float8, type Float8Type } from './float8.ts';
import type { StaticOptions } from './static.ts';
import type { Scale } from './static-insert.ts';

interface Weight {
  readonly value: Value;
  readonly data: Tensor;
  readonly scheme: ArrayScheme;
  readonly affines: Affines;
  /** What stands for it in the graph, once it is there. */
  output?: Value;
}

interface Product {
  readonly node: Node;
  readonly index: number;
  readonly weight: Weight;
  readonly activation: Scale | undefined;
}

/** Replaces the constant operands of the products. */
export async function quantizeOperands(
  model: Model,
  products: readonly Node[],
  scales: ReadonlyMap<Value, Scale>,
  options: StaticOptions,
  context: QuantizeContext,
): Promise<void> {
  const weights = new Map<string, Weight>();
  const found: Product[] = [];
  for (const node of products) {
    const index = node.inputs[1] && constantData(node.inputs[1]) ? 1 : 0;
    const value = node.inputs[index];
    const data = value && constantData(value);
    if (!value || !data) continue;
    const axis = options.perChannel ? quantizeRole(node)?.channels?.(node, index) : undefined;
    const key = `${value.name} ${axis}`;
    const weight =
      weights.get(key) ?? (await measure(node, value, data, axis, options, model.path));
    weights.set(key, weight);
    const activation = node.inputs[1 - index];
    found.push({ node, index, weight, activation: activation && scales.get(activation) });
  }
  const integers = options.float8 ? [] : found.filter((product) => hasBias(product));
  for (const product of integers) makeRoom(product);
  for (const product of found) {
    product.weight.output ??= storeWeight(model, product, options);
    product.node.setInput(product.index, product.weight.output);
  }
  for (const product of integers) storeBias(model, product, context);
  for (const { value } of weights.values()) dropUnused(model.graph, value);
}

async function measure(
  node: Node,
  value: Value,
  data: Tensor,
  axis: number | undefined,
  options: StaticOptions,
  path: string | undefined,
): Promise<Weight> {
  const symmetric = options.weights === 'int8';
  const scheme = { type: options.weights, symmetric, reduceRange: options.reduceRange, axis };
  const onNotFinite = () => {
    throw weightNotFinite(value.name, node.describe(), path);
  };
  return { value, data, scheme, affines: await affinesOf(data, scheme, onNotFinite) };
}

function storeWeight(model: Model, product: Product, options: StaticOptions): Value {
  const { weight, node } = product;
  const { value, data, scheme } = weight;
  const { float8 } = options;
  const parameters = float8
    ? floatParameters(float8, weight)
    : {
        type: scheme.type as DType,
        scales: weight.affines.scales,
        zero: weight.affines.zeroPoints,
      };
  const compute = async (): Promise<Uint8Array> => {
    if (float8) return floatCodes(float8, data, parameters.scales, scheme.axis);
    return bytesOf(await codesOf(data, scheme, weight.affines));
  };
  const source = { byteLength: byteLengthOf(parameters.type, data.size), compute };
  const shape = scheme.axis === undefined ? [] : [parameters.scales.length];
  const { graph } = model;
  const inputs = [
    graph.addInitializer(
      `${value.name}_quantized`,
      new Tensor(parameters.type, data.shape, source),
    ),
    graph.addInitializer(`${value.name}_scale`, Tensor.of('float32', shape, parameters.scales)),
    graph.addInitializer(
      `${value.name}_zero_point`,
      Tensor.fromBytes(parameters.type, shape, bytesOf(parameters.zero)),
    ),
  ];
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const attrs = scheme.axis === undefined ? {} : { axis: scheme.axis };
  return g.op('DequantizeLinear', inputs, attrs, { name: graph.fresh(`${value.name}_dq`) });
}

type Floats = ArrayLike<number>;

/** One scale per channel from its largest magnitude, which the integer scales know up to a factor. */
function floatParameters(type: Float8Type, { affines, scheme }: Weight) {
  const levels = scheme.type === 'int8' ? 127 : 255;
  const scales = Float32Array.from(affines.scales, (scale) => {
    const largest = scale * levels;
    return Float8.affine(type, { min: -largest, max: largest }).scale;
  });
  return { type: type as DType, scales, zero: new Uint8Array(scales.length) };
}

async function floatCodes(
  type: Float8Type,
  data: Tensor,
  scales: Float32Array,
  axis: number | undefined,
): Promise<Uint8Array> {
  const loaded = Tensor.fromBytes(data.dtype, data.shape, await data.load());
  const values = elementsOf(loaded) as Floats;
  const inner = axis === undefined ? values.length : product(data.shape.slice(axis + 1));
  const codes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const channel = axis === undefined ? 0 : Math.floor(i / inner) % scales.length;
    codes[i] = Float8.encode(type, (values[i] as number) / (scales[channel] as number));
  }
  return codes;
}

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}

/** A constant float bias that the integer kernel can take. */
function hasBias({ node, activation }: Product): boolean {
  const index = quantizeRole(node)?.bias;
  const bias = index === undefined ? undefined : node.inputs[index];
  const data = bias && constantData(bias);
  const isVector = data && data.shape.filter((dim) => dim !== 1).length <= 1;
  const isPlain = node.op !== 'Gemm' || node.float('beta', 1) === 1;
  return activation !== undefined && isVector === true && data.dtype === 'float32' && isPlain;
}

const INT32 = 2 ** 31 - 1;

function biasOf({ node }: Product): Float32Array {
  const value = node.inputs[quantizeRole(node)?.bias ?? 2] as Value;
  return elementsOf(constantData(value) as Tensor) as Float32Array;
}

function channelOf(weight: Weight, i: number): number {
  return weight.scheme.axis === undefined ? 0 : i;
}

/** Widens the scale of a channel whose bias would not fit into 31 bits. */
function makeRoom(product: Product): void {
  const { weight, activation } = product;
  const { scales } = weight.affines;
  biasOf(product).forEach((bias, i) => {
    const channel = channelOf(weight, i);
    const least = Math.abs(bias) / ((activation?.scale ?? 1) * INT32);
    // A hair above, as both scales are rounded to float32.
    if ((scales[channel] ?? 1) < least) scales[channel] = least * (1 + 1e-6);
  });
}

function storeBias(model: Model, product: Product, context: QuantizeContext): void {
  const { node, weight, activation } = product;
  const index = quantizeRole(node)?.bias ?? 2;
  const value = node.inputs[index];
  const data = value && constantData(value);
  const { scales } = weight.affines;
  const channels = data?.size ?? 0;
  if (!value || !data || !activation) return;
  const isPerChannel = weight.scheme.axis !== undefined;
  if (isPerChannel && scales.length !== channels) {
    context.decide(node, 'int8', `its bias has ${channels} elements for ${scales.length} channels`);
    return;
  }
  const products = Float32Array.from(scales, (scale) => Math.fround(scale * activation.scale));
  const codes = Int32Array.from(biasOf(product), (bias, i) => {
    const code = roundHalfEven(bias / (products[channelOf(weight, i)] ?? 1));
    return Math.min(INT32, Math.max(-INT32 - 1, code));
  });
  const { graph } = model;
  const shape = isPerChannel ? [products.length] : [];
  const inputs = [
    graph.addInitializer(`${value.name}_quantized`, Tensor.of('int32', [channels], codes)),
    graph.addInitializer(`${value.name}_scale`, Tensor.of('float32', shape, products)),
    graph.addInitializer(
      `${value.name}_zero_point`,
      Tensor.of('int32', shape, new Int32Array(products.length)),
    ),
  ];
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const name = graph.fresh(`${value.name}_dq`);
  node.setInput(index, g.op('DequantizeLinear', inputs, isPerChannel ? { axis: 0 } : {}, { name }));
  dropUnused(graph, value);
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
