// Products with activations quantised at run time. In standard operators,
//
//   y = Cast(MatMulInteger(q, W, zx, zw)) * (sx * sw),
//
// which onnxruntime fuses into DynamicQuantizeMatMul, or into MatMulIntegerToFloat where several nodes
// read one input, a bias included. Gemm keeps alpha as a Mul, and beta and C as an Add.

import type { Builder, Node, Value } from '../../graph/index.ts';
import { floatTensor } from '../../tensor/scale.ts';
import type { Choice } from './dynamic-plan.ts';
import {
  cast,
  type DynamicWriter,
  inType,
  MICROSOFT,
  nameOf,
  replaceOutputs,
} from './dynamic-writer.ts';

interface Operand {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

export function writeProduct(writer: DynamicWriter, choice: Choice): void {
  const { node } = choice;
  const g = writer.builder(choice);
  const x = leftOperand(g, node);
  const right = rightOperand(writer, g, choice);
  const isFused =
    writer.options.format === 'fused' &&
    right.codes.data !== undefined &&
    writer.target.has(`DynamicQuantizeMatMul:${right.codes.dtype === 'int8' ? 's8' : 'u8'}`);
  const product = isFused
    ? fusedProduct(writer, g, node, x, right)
    : standardProduct(writer, g, node, x, right);
  const scaled = times(g, product, node.float('alpha', 1));
  const result = inType(g, scaled, node.output.dtype ?? node.input(0)?.dtype);
  replaceOutputs(choice, [node.op === 'Gemm' ? withTerm(g, node, result) : result]);
}

/** A of Gemm may be transposed. */
function leftOperand(g: Builder, node: Node): Value {
  const x = node.input(0) as Value;
  return node.op === 'Gemm' && node.int('transA', 0) === 1
    ? g.op('Transpose', [x], { perm: [1, 0] })
    : x;
}

function rightOperand(writer: DynamicWriter, g: Builder, choice: Choice): Operand {
  const [weight] = choice.weights;
  if (!weight) return writer.input(g, choice.node.input(1) as Value);
  // A table that is picked from, too, stays as it is: its product reads it through a Transpose.
  const isTied = weight.isTurned && writer.isTable(choice.graph, weight);
  const stored = isTied ? { ...weight, isTurned: false, shape: weight.view } : weight;
  const { codes, scales, zeroPoints } = writer.weight(choice, stored);
  return {
    codes: isTied ? g.op('Transpose', [codes], { perm: [1, 0] }) : codes,
    scale: scales,
    zeroPoint: zeroPoints,
  };
}

function standardProduct(
  writer: DynamicWriter,
  g: Builder,
  node: Node,
  x: Value,
  right: Operand,
): Value {
  const left = writer.input(g, x);
  const inputs = [left.codes, right.codes, left.zeroPoint, right.zeroPoint];
  const sum = g.op('MatMulInteger', inputs, {}, { name: nameOf(g, node) });
  return g.op('Mul', [cast(g, sum, 'float32'), g.op('Mul', [left.scale, right.scale])]);
}

function fusedProduct(
  writer: DynamicWriter,
  g: Builder,
  node: Node,
  x: Value,
  right: Operand,
): Value {
  writer.importMicrosoft(g.graph);
  const options = { domain: MICROSOFT, name: nameOf(g, node) };
  if (writer.isShared(x)) {
    const left = writer.input(g, x);
    const scales = [left.scale, right.scale];
    const inputs = [left.codes, right.codes, ...scales, left.zeroPoint, right.zeroPoint];
    return g.op('MatMulIntegerToFloat', inputs, {}, options);
  }
  const inputs = [writer.asFloat(g, x), right.codes, right.scale, right.zeroPoint];
  return g.op('DynamicQuantizeMatMul', inputs, {}, options);
}

function times(g: Builder, value: Value, factor: number): Value {
  if (factor === 1) return value;
  const dtype = value.dtype ?? 'float32';
  return g.op('Mul', [
    value,
    g.constant('factor', floatTensor(dtype, [], Float64Array.of(factor))),
  ]);
}

/** product + beta * C */
function withTerm(g: Builder, node: Node, product: Value): Value {
  const c = node.input(2);
  return c ? g.op('Add', [product, times(g, c, node.float('beta', 1))]) : product;
}
