// Codes of less than a byte while training: rounded to bytes and clipped, which gives the same numbers.
// onnxruntime 1.30 writes over its own memory in QuantizeLinear to 4 bits: sums and gradients of the same
// data differ from run to run.

import { Builder, type Model, type Node, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { dtypeInfo } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Makes QuantizeLinear of 4 and 2 bits one of 8 bits with a Clip behind it, in place. */
export function widenCodes(model: Model): void {
  for (const node of [...model.graph.nodes]) {
    if (node.op !== 'QuantizeLinear' || node.domain !== '') continue;
    const { bits, kind } = dtypeInfo(node.output.dtype ?? 'uint8');
    if (bits < 8) widen(model, node, bits, kind === 'int');
  }
}

function widen(model: Model, node: Node, bits: number, isSigned: boolean): void {
  const { graph } = model;
  const codes = node.output;
  const readers = [...codes.uses];
  const [, , zeroPoint] = node.inputs;
  const type = isSigned ? 'int8' : 'uint8';
  if (!zeroPoint?.data)
    throw new Error(`${node.describe()}: codes of ${bits} bits without a zero point`);
  if (dtypeInfo(zeroPoint.data.dtype).bits < 8) {
    const wide = Tensor.of(type, zeroPoint.data.shape, elementsOf(zeroPoint.data));
    graph.setData(zeroPoint, wide);
  }
  inferNode(model, node);
  const least = isSigned ? -(2 ** (bits - 1)) : 0;
  const g = new Builder(graph, node.place.next, (made) => inferNode(model, made));
  const bound = (code: number): Value => g.constant('bound', Tensor.of(type, [], [code]));
  const clipped = g.op('Clip', [codes, bound(least), bound(least + 2 ** bits - 1)]);
  for (const reader of readers) reader.node.setInput(reader.index, clipped);
}
