// Biases of statically quantised products: int32 with the scale of the products, sx sw per channel.
// Where one would not fit, the scale of its weight channel is widened, as onnxruntime's own tools do it.

import type { Model, Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import { roundHalfEven } from '../../tensor/affine.ts';
import { elementsOf } from '../../tensor/elements.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { dropUnused } from '../match.ts';
import type { PairWriter, Scale } from './static-insert.ts';
import type { QuantizedConstant } from './static-weights.ts';

export interface BiasedProduct {
  readonly node: Node;
  readonly weight: QuantizedConstant;
  readonly activation: Scale;
}

const LARGEST = 2 ** 31 - 1;
/** Both scales are rounded to float32. */
const MARGIN = 1.0001;
/** The smallest normal float32. */
const TINY = 2 ** -126;

function biasValue(node: Node): Value | undefined {
  const index = quantizeRole(node)?.bias;
  return index === undefined ? undefined : node.inputs[index];
}

/** One number for each channel, the factor of Gemm included. */
function biasOf({ node, weight }: BiasedProduct): Float64Array | undefined {
  const value = biasValue(node);
  const data = value && constantData(value);
  if (!data) return undefined;
  const beta = node.op === 'Gemm' ? node.float('beta', 1) : 1;
  const numbers = elementsOf(data) as Float32Array;
  const channels = quantizeRole(node)?.channels?.(node, 1);
  const count = channels === undefined ? numbers.length : (weight.data.shape[channels] ?? 1);
  return Float64Array.from({ length: count }, (_, i) => {
    return beta * (numbers[numbers.length === 1 ? 0 : i] as number);
  });
}

/** Why there can be no int32 bias; undefined where there can, or is none. */
export function scaleProblem(product: BiasedProduct): string | undefined {
  if (!biasValue(product.node)) return undefined;
  const { scale } = product.activation;
  const isTiny = product.weight.affines.scales.some((s) => Math.fround(s * scale) < TINY);
  return isTiny ? 'its scales are too small to multiply' : undefined;
}

/** Widens scales of the weight until the bias fits into 31 bits. */
export function makeRoom(product: BiasedProduct): void {
  const bias = biasOf(product);
  if (!bias) return;
  const { scales } = product.weight.affines;
  const isPerChannel = product.weight.scheme.axis !== undefined;
  const largest = isPerChannel
    ? bias.map(Math.abs)
    : [bias.reduce((most, x) => Math.max(most, Math.abs(x)), 0)];
  largest.forEach((size, channel) => {
    const least = (MARGIN * size) / LARGEST;
    const scale = scales[channel] as number;
    const found = product.activation.scale * scale;
    if (found < least) scales[channel] = scale * (least / found);
  });
}

/** Puts the int32 bias in the place of the float one. */
export function storeBias(model: Model, product: BiasedProduct, pairs: PairWriter): void {
  const { node, weight, activation } = product;
  const value = biasValue(node);
  const bias = biasOf(product);
  if (!value || !bias) return;
  const isPerChannel = weight.scheme.axis !== undefined;
  const scales = weight.affines.scales.map((scale) => scale * activation.scale);
  const codes = Int32Array.from(bias, (x, i) => {
    const code = roundHalfEven(x / (scales[isPerChannel ? i : 0] as number));
    return Math.min(LARGEST, Math.max(-LARGEST - 1, code));
  });
  const { graph } = model;
  const shape = isPerChannel ? [scales.length] : [];
  const zeros = new Int32Array(scales.length);
  const inputs = [
    graph.addInitializer(`${value.name}_quantized`, Tensor.of('int32', [codes.length], codes)),
    graph.addInitializer(`${value.name}_scale`, Tensor.of('float32', shape, scales)),
    graph.addInitializer(`${value.name}_zero_point`, Tensor.of('int32', shape, zeros)),
  ];
  const index = node.inputs.indexOf(value, 2);
  const axis = isPerChannel ? 0 : undefined;
  node.setInput(index, pairs.dequantize(node, inputs, value.name, axis));
  dropUnused(graph, value);
}
