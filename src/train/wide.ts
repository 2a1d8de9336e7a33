// Models in half precision are trained in float32: small changes of a weight would be lost in its
// rounding otherwise. Inputs keep their types; what is trained goes back into the types it had.

import { attr, Builder, type Model, type Node, tensorType, type Value } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import {
  bfloat16sToFloats,
  floatsToBfloat16s,
  floatsToHalves,
  halvesToFloats,
} from '../tensor/float16.ts';
import { Tensor } from '../tensor/tensor.ts';

const isHalf = (dtype: DType | undefined): dtype is 'float16' | 'bfloat16' =>
  dtype === 'float16' || dtype === 'bfloat16';

/** In ONNX's numbering of types: what stands in `to` of Cast and `dtype` of generators. */
const CODES = { float16: 10, bfloat16: 16, float32: 1 } as const;

export function isInHalf(model: Model): boolean {
  return [...model.graph.initializers].some(({ dtype }) => isHalf(dtype));
}

/** Makes all that is half float32, in place; types of results have to be inferred anew. */
export function widenHalves(model: Model): void {
  const { graph } = model;
  for (const value of [...graph.initializers]) {
    if (value.data && isHalf(value.dtype)) graph.setData(value, widened(value.data));
  }
  for (const node of graph.nodes) {
    widenAttributes(node);
    for (const output of node.outputs) {
      if (isHalf(output.dtype)) output.type = tensorType('float32', output.shape);
    }
  }
  for (const input of graph.inputs) {
    if (!input.data && isHalf(input.dtype)) readWide(model, input);
  }
}

function widenAttributes(node: Node): void {
  for (const name of ['to', 'dtype']) {
    const code = node.int(name, 0);
    if (code === CODES.float16 || code === CODES.bfloat16)
      node.setAttr(name, attr.int(CODES.float32));
  }
  const value = node.tensor('value');
  if (value && isHalf(value.dtype)) node.setAttr('value', attr.tensor(widened(value)));
}

/** What read the input reads its float32 values. */
function readWide({ graph }: Model, input: Value): void {
  const readers = [...input.uses];
  const first = [...graph.nodes].find((node) => readers.some((use) => use.node === node));
  const wide = new Builder(graph, first).op('Cast', [input], { to: CODES.float32 });
  wide.type = tensorType('float32', input.shape);
  for (const { node, index } of readers) node.setInput(index, wide);
}

/** As float32; the tensor itself where it is not half. */
export function widened(tensor: Tensor): Tensor {
  if (!isHalf(tensor.dtype)) return tensor;
  const bits = tensor.values() as Uint16Array;
  const floats = tensor.dtype === 'float16' ? halvesToFloats(bits) : bfloat16sToFloats(bits);
  return Tensor.of('float32', tensor.shape, floats);
}

/** In the type that a weight had: rounded where that is half. */
export function narrowed(tensor: Tensor, dtype: DType | undefined): Tensor {
  if (tensor.dtype !== 'float32' || !isHalf(dtype)) return tensor;
  const floats = tensor.values() as Float32Array;
  const bits = dtype === 'float16' ? floatsToHalves(floats) : floatsToBfloat16s(floats);
  return Tensor.of(dtype, tensor.shape, bits);
}
