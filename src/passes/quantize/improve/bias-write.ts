// Adds numbers per channel to the bias of a quantised layer, in the form the bias has: int32 behind a
// DequantizeLinear with scale s_x s_w, 8-bit integers behind one, or floats. A Conv or Gemm without a
// bias gets one.

import { Builder, type Graph, type Node, type Value } from '../../../graph/index.ts';
import { constantData } from '../../../ops/index.ts';
import {
  affineOf,
  integerRange,
  type QuantizedType,
  roundHalfEven,
} from '../../../tensor/affine.ts';
import { elementsOf } from '../../../tensor/elements.ts';
import { floatTensor } from '../../../tensor/scale.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import { setConstant } from '../../linear.ts';
import { addAfter, dequantizer, type QuantizedLayer } from './quantized-layer.ts';

const INT32 = 2 ** 31 - 1;
const EIGHT_BITS = ['int8', 'uint8'];

/** Node and input that hold the bias of a layer, there or not. */
function placeOf(node: Node): { node: Node; index: number } | undefined {
  return node.op === 'MatMul' ? addAfter(node) : { node, index: 2 };
}

/** Why a bias cannot be corrected. */
export function biasProblem({ node }: QuantizedLayer): string | undefined {
  const place = placeOf(node);
  if (!place) return 'no Add of a constant follows';
  if (node.op === 'Gemm' && node.float('beta', 1) !== 1) return 'its bias has a factor';
  const value = place.node.input(place.index);
  if (!value) return undefined;
  const dequantize = dequantizer(value);
  const data = dequantize ? dequantize.input(0)?.data : constantData(value);
  if (!data) return 'its bias is not constant';
  if (dequantize && dequantize.output.uses.length > 1) return 'its bias is shared';
  const isKnown = dequantize
    ? [...EIGHT_BITS, 'int32'].includes(data.dtype)
    : data.dtype === 'float32';
  if (!isKnown) return `its bias is ${data.dtype}`;
  return data.size === (data.shape.at(-1) ?? 1) ? undefined : 'its bias differs from row to row';
}

export function addToBias(graph: Graph, layer: Node, shift: Float64Array): void {
  const { node, index } = placeOf(layer) ?? { node: layer, index: 2 };
  const value = node.input(index);
  const dequantize = dequantizer(value);
  if (!value) newBias(graph, node, shift);
  else if (!dequantize) addToFloats(graph, node, index, shift);
  else if (dequantize.input(0)?.dtype === 'int32') addToInt32(graph, dequantize, shift);
  else addToBytes(graph, dequantize, shift);
}

const numbers = (value: Value | undefined) => {
  const data = value && constantData(value);
  return data ? Float64Array.from(elementsOf(data) as ArrayLike<number>) : undefined;
};

/** Element c of a vector, or the only element. */
const at = (values: ArrayLike<number> | undefined, c: number, otherwise: number) =>
  values?.[values.length === 1 ? 0 : c] ?? otherwise;

function addToFloats(graph: Graph, node: Node, index: number, shift: Float64Array): void {
  const old = numbers(node.input(index));
  const shape = node.input(index)?.shape as readonly number[];
  const next = shift.map((s, c) => at(old, c, 0) + s);
  const isVector = old?.length === shift.length;
  setConstant(
    { graph },
    node,
    index,
    floatTensor('float32', isVector ? shape : [shift.length], next),
  );
}

function addToInt32(graph: Graph, dequantize: Node, shift: Float64Array): void {
  const [codes, scales] = [numbers(dequantize.input(0)), numbers(dequantize.input(1))];
  const next = Int32Array.from(codes ?? [], (code, c) =>
    toInt32(code + at(shift, c, 0) / at(scales, c, 1)),
  );
  const shape = dequantize.input(0)?.shape as readonly number[];
  setConstant({ graph }, dequantize, 0, Tensor.of('int32', shape, next));
}

const toInt32 = (x: number) => Math.max(-INT32, Math.min(INT32, roundHalfEven(x)));

/** New range, new scale. */
function addToBytes(graph: Graph, dequantize: Node, shift: Float64Array): void {
  const [codes, scales, zeros] = dequantize.inputs.map(numbers);
  const data = dequantize.input(0);
  if (!data?.dtype || !codes) return;
  const values = shift.map((s, c) => (at(codes, c, 0) - at(zeros, c, 0)) * at(scales, c, 1) + s);
  const type = data.dtype as QuantizedType;
  const options = { type, symmetric: type === 'int8' && (zeros ?? []).every((z) => z === 0) };
  const affine = affineOf({ min: Math.min(...values), max: Math.max(...values) }, options);
  const { min, max } = integerRange(options);
  const next = values.map((v) =>
    Math.min(max, Math.max(min, roundHalfEven(v / affine.scale) + affine.zeroPoint)),
  );
  const shape = codes.length === shift.length ? (data.shape as readonly number[]) : [shift.length];
  setConstant({ graph }, dequantize, 0, Tensor.of(type, shape, [...next]));
  setConstant({ graph }, dequantize, 1, Tensor.scalar('float32', affine.scale));
  if (dequantize.input(2))
    setConstant({ graph }, dequantize, 2, Tensor.scalar(type, affine.zeroPoint));
  dequantize.setAttr('axis', undefined);
}

/** int32 where the input is quantised, too: then the kernel stays an integer one. */
function newBias(graph: Graph, node: Node, shift: Float64Array): void {
  const input = node.input(0)?.producer;
  const sx = input?.op === 'DequantizeLinear' ? numbers(input.input(1)) : undefined;
  const sw = numbers(dequantizer(node.input(1))?.input(1));
  const base = node.name || node.op;
  if (sx?.length !== 1 || !sw || (sw.length !== 1 && sw.length !== shift.length)) {
    const data = floatTensor('float32', [shift.length], shift);
    node.setInput(2, graph.addInitializer(`${base}.bias`, data));
    return;
  }
  const scales = Float32Array.from(sw, (s) => s * (sx[0] as number));
  const codes = Int32Array.from(shift, (s, c) => toInt32(s / at(scales, c, 1)));
  const isVector = scales.length > 1;
  const inputs = [
    graph.addInitializer(`${base}.bias_quantized`, Tensor.of('int32', [shift.length], codes)),
    graph.addInitializer(
      `${base}.bias_scale`,
      Tensor.of('float32', isVector ? [scales.length] : [], scales),
    ),
  ];
  const { domain } = input as Node;
  const g = new Builder(graph, node);
  node.setInput(2, g.op('DequantizeLinear', inputs, isVector ? { axis: 0 } : {}, { domain }));
}
