// Layers of a quantised model in QDQ form, each with the layer of the float model it was made of:
// integers -> DequantizeLinear -> Conv, ConvTranspose, Gemm or MatMul. They are found by their names.

import type { Graph, Model, Node, Value } from '../../../graph/index.ts';
import { constantData } from '../../../ops/index.ts';
import { isQuantized } from '../../../tensor/affine.ts';
import { isCalculable } from '../../../tensor/scale.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import { LINEAR } from '../../linear.ts';
import { producer } from '../../match.ts';
import { layerName } from '../context.ts';

export interface QuantizedLayer {
  readonly graph: Graph;
  readonly node: Node;
  /** The same layer of the float model. */
  readonly float: Node;
  /** Makes the weight out of integers. */
  readonly dequantize: Node;
  /** The integers. */
  readonly codes: Value;
  /** The float weight. */
  readonly weight: Tensor;
}

/** In order; `skip` is told of those that are not understood. */
export function quantizedLayers(
  quantized: Model,
  float: Model,
  skip: (node: Node, reason: string) => void,
): QuantizedLayer[] {
  const floats = new Map([...float.graph.nodes].map((node) => [keyOf(node), node]));
  const layers: QuantizedLayer[] = [];
  for (const node of quantized.graph.nodes) {
    if (node.domain !== '' || !LINEAR.some((op) => op === node.op)) continue;
    const dequantize = dequantizer(node.input(1));
    const codes = dequantize?.input(0);
    if (!dequantize || !codes || !isQuantized(codes.dtype)) continue;
    const layer = layerOf(quantized.graph, node, floats.get(keyOf(node)), dequantize, codes);
    if (typeof layer === 'string') skip(node, layer);
    else layers.push(layer);
  }
  return layers;
}

const keyOf = (node: Node) => `${node.op} ${layerName(node)}`;

/** The DequantizeLinear of whichever domain that makes a value of a constant. */
export function dequantizer(value: Value | undefined): Node | undefined {
  const node = value?.producer;
  const codes = node?.op === 'DequantizeLinear' ? node.input(0) : undefined;
  return codes && constantData(codes) ? node : undefined;
}

function layerOf(
  graph: Graph,
  node: Node,
  float: Node | undefined,
  dequantize: Node,
  codes: Value,
): QuantizedLayer | string {
  const value = float?.input(1);
  const weight = value && constantData(value);
  if (!float || !weight) return 'the float model has no such layer';
  if (!isCalculable(weight.dtype)) return `its weight was ${weight.dtype}`;
  const shape = codes.shape?.join();
  if (shape !== weight.shape.join()) return `its weight was [${weight.shape}], and is [${shape}]`;
  return { graph, node, float, dequantize, codes, weight };
}

/** The value that rounding follows: past a QuantizeLinear and DequantizeLinear it is the same one. */
export function throughRounding(value: Value): Value {
  const quantize = value.uses.find(({ node }) => node.op === 'QuantizeLinear')?.node;
  const dequantize = quantize?.output.uses[0]?.node;
  const isPair = value.uses.length === 1 && dequantize?.op === 'DequantizeLinear';
  return isPair && quantize?.output.uses.length === 1 ? dequantize.output : value;
}

/** The Add that alone reads the product, perhaps rounded in between, and its constant operand. */
export function addAfter(product: Node): { node: Node; index: number } | undefined {
  const value = throughRounding(product.output);
  const [use, ...others] = value.uses;
  const node = producer(use?.node.output, 'Add');
  if (!use || !node || others.length > 0) return undefined;
  const index = 1 - use.index;
  const other = node.input(index);
  const isConstant = other && (constantData(other) ?? dequantizer(other));
  return isConstant ? { node, index } : undefined;
}
