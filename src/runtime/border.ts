// Types that onnxruntime-node cannot hand over (bfloat16, 8- and 4-bit floats, 4- and 2-bit integers)
// travel as wider ones: a Cast inside the graph at each such input and output, and the exact way
// back here.

import { attr, type Graph, type Model, Node, tensorType, toAttrs, Value } from '../graph/index.ts';
import { type DType, dtypeCode, dtypeInfo, elementCount } from '../tensor/dtype.ts';
import { decodeElements, elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { floatsToBfloat16s } from '../tensor/float16.ts';
import { Tensor } from '../tensor/tensor.ts';
import { canCross } from './protocol.ts';

/** A model whose inputs and outputs can all be handed over, and the translation both ways. */
export interface Border {
  readonly model: Model;
  inward(feeds: Feeds): Feeds;
  outward(results: Feeds): Map<string, Tensor>;
}

/** Edits `model` in place: inputs and outputs of narrow types become wider ones of the same name. */
export function widenBorder(model: Model): Border {
  const { graph } = model;
  const inputs = new Map<string, DType>();
  const outputs = new Map<string, DType>();
  for (const value of [...graph.inputs]) {
    const wide = carrier(value.dtype);
    if (!wide || !value.dtype || value.data) continue;
    inputs.set(value.name, value.dtype);
    widenInput(graph, value, value.dtype, wide);
  }
  for (const value of [...graph.outputs]) {
    const { dtype: narrowType } = value;
    const wide = carrier(narrowType);
    if (!wide || !narrowType) continue;
    outputs.set(widenOutput(graph, value, wide), narrowType);
  }
  return {
    model,
    inward: (feeds) => mapFeeds(feeds, inputs, (tensor, name) => widen(tensor, name)),
    outward: (results) =>
      mapFeeds(results, outputs, (tensor, _wide, dtype) => narrow(tensor, dtype)),
  };
}

/** The type that stands for one that cannot cross; undefined when none is needed, or none is known. */
function carrier(dtype: DType | undefined): DType | undefined {
  if (dtype === undefined || canCross(dtype)) return undefined;
  const { kind, bits } = dtypeInfo(dtype);
  if (kind === 'float') return 'float32';
  if (bits < 8) return kind === 'uint' ? 'uint8' : 'int8';
  return undefined;
}

function widenInput(graph: Graph, value: Value, narrow: DType, wide: DType): void {
  const { name, shape } = value;
  const outer = new Value(name, tensorType(wide, shape));
  value.name = graph.fresh(`${name}_${narrow}`);
  graph.inputs[graph.inputs.indexOf(value)] = outer;
  // The old input becomes the output of the Cast, so all its readers stay as they are.
  const [first] = graph.nodes;
  const cast = castNode(graph, outer, value, narrow);
  if (first) graph.insertBefore(first, cast);
  else graph.append(cast);
}

/** Returns the name of the new output. */
function widenOutput(graph: Graph, value: Value, wide: DType): string {
  const { name, shape } = value;
  const at = graph.outputs.indexOf(value);
  // A graph input or initializer that is an output too keeps its name for those who feed it.
  const outer = new Value(value.producer ? name : graph.fresh(`${name}_${wide}`));
  if (value.producer) value.name = graph.fresh(`${name}_${value.dtype}`);
  outer.type = tensorType(wide, shape);
  graph.append(castNode(graph, value, outer, wide));
  graph.outputs[at] = outer;
  return outer.name;
}

function castNode(graph: Graph, from: Value, to: Value, dtype: DType): Node {
  return new Node({
    op: 'Cast',
    name: graph.fresh(`border/${from.name}`),
    inputs: [from],
    outputs: [to],
    attrs: toAttrs({ to: attr.int(dtypeCode(dtype)) }),
  });
}

function mapFeeds(
  feeds: Feeds,
  types: ReadonlyMap<string, DType>,
  convert: (tensor: Tensor, wide: DType, narrow: DType) => Tensor,
): Map<string, Tensor> {
  return new Map(
    [...feeds].map(([name, tensor]) => {
      const dtype = types.get(name);
      const wide = carrier(dtype);
      return [name, dtype && wide ? convert(tensor, wide, dtype) : tensor];
    }),
  );
}

function widen(tensor: Tensor, wide: DType): Tensor {
  return Tensor.of(wide, tensor.shape, elementsOf(tensor));
}

/** Exact: every value came out of the narrow type. */
function narrow(tensor: Tensor, dtype: DType): Tensor {
  if (dtype === 'bfloat16') {
    return Tensor.of(dtype, tensor.shape, floatsToBfloat16s(tensor.values() as Float32Array));
  }
  const codes = codesOf(dtype);
  const values = tensor.values();
  const { bits } = dtypeInfo(dtype);
  const perByte = 8 / bits;
  const bytes = new Uint8Array(Math.ceil((elementCount(tensor.shape) * bits) / 8));
  for (let i = 0; i < values.length; i++) {
    const code = codes.get(keyOf(Number(values[i]))) ?? codes.get(Number.NaN) ?? 0;
    const at = Math.floor(i / perByte);
    bytes[at] = (bytes[at] ?? 0) | (code << ((i % perByte) * bits));
  }
  return Tensor.fromBytes(dtype, tensor.shape, bytes);
}

/** Code of every value of a type of at most 8 bits, by `keyOf` the value. */
function codesOf(dtype: DType): ReadonlyMap<number | string, number> {
  const codes = new Map<number | string, number>();
  for (let code = 0; code < 2 ** dtypeInfo(dtype).bits; code++) {
    const [value] = decodeElements(dtype, Uint8Array.of(code), 1);
    const key = keyOf(Number(value));
    if (!codes.has(key)) codes.set(key, code);
  }
  return codes;
}

/** Maps take +0 and -0 for one key, but they have codes of their own. */
function keyOf(value: number): number | string {
  return Object.is(value, -0) ? '-0' : value;
}
