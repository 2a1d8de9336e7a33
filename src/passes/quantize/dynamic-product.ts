// Products with activations quantised at run time. In standard operators,
//
//   y = Cast(MatMulInteger(q, W, zx, zw)) * (sx * sw),
//
// which onnxruntime fuses into DynamicQuantizeMatMul, or into MatMulIntegerToFloat where several nodes
// read one input, a bias included. Gemm keeps alpha as a Mul, and beta and C as an Add.

import type { Builder, Node, OpOptions, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { onlyReader, removeDead } from '../match.ts';
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
  if (isFused(writer, right)) {
    writeFused(writer, g, choice, x, right);
    return;
  }
  const product = standardProduct(writer, g, node, x, right);
  const scaled = times(g, product, node.float('alpha', 1));
  const result = inType(g, scaled, node.output.dtype ?? node.input(0)?.dtype);
  replaceOutputs(choice, [withTerm(g, node, result)]);
}

function isFused({ options, target }: DynamicWriter, { codes }: Operand): boolean {
  const isWeight = codes.data !== undefined && codes.data.shape.length === 2;
  const kernel = codes.dtype === 'int8' ? 's8' : 'u8';
  return options.format === 'fused' && isWeight && target.has(`DynamicQuantizeMatMul:${kernel}`);
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

function writeFused(
  writer: DynamicWriter,
  g: Builder,
  choice: Choice,
  x: Value,
  right: Operand,
): void {
  const { node, graph } = choice;
  writer.importMicrosoft(graph);
  const options = { domain: MICROSOFT, name: nameOf(g, node) };
  const bias = biasOf(node, right);
  const product = fusedProduct(writer, g, x, right, bias?.value, options);
  const scaled = times(g, product, node.float('alpha', 1));
  const result = inType(g, scaled, node.output.dtype ?? node.input(0)?.dtype);
  if (bias?.add) {
    graph.replace(bias.add.output, result);
    removeDead(graph, [bias.add, node, ...(choice.transpose ? [choice.transpose] : [])]);
    return;
  }
  replaceOutputs(choice, [bias ? result : withTerm(g, node, result)]);
}

function fusedProduct(
  writer: DynamicWriter,
  g: Builder,
  x: Value,
  right: Operand,
  bias: Value | undefined,
  options: OpOptions,
): Value {
  const term = bias ? [bias] : [];
  if (writer.isShared(x)) {
    const left = writer.input(g, x);
    const scales = [left.scale, right.scale];
    const inputs = [left.codes, right.codes, ...scales, left.zeroPoint, right.zeroPoint, ...term];
    return g.op('MatMulIntegerToFloat', inputs, {}, options);
  }
  const inputs = [writer.asFloat(g, x), right.codes, right.scale, right.zeroPoint, ...term];
  return g.op('DynamicQuantizeMatMul', inputs, {}, options);
}

interface Bias {
  readonly value: Value;
  /** The node that would add it. */
  readonly add?: Node;
}

/** A float32 vector [N] that is added to the product and nothing else. */
function biasOf(node: Node, { codes }: Operand): Bias | undefined {
  const columns = codes.data?.shape[1];
  const fits = (value: Value | undefined): value is Value => {
    const data = value && constantData(value);
    return data?.dtype === 'float32' && data.shape.length === 1 && data.shape[0] === columns;
  };
  if (node.float('alpha', 1) !== 1 || node.output.dtype === 'float16') return undefined;
  if (node.op === 'Gemm') {
    const c = node.input(2);
    return fits(c) && node.float('beta', 1) === 1 ? { value: c } : undefined;
  }
  const add = onlyReader(node.output);
  if (add?.domain !== '' || add.op !== 'Add') return undefined;
  const value = add.inputs.find((input) => input !== node.output);
  return fits(value) ? { value, add } : undefined;
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
  const c = node.op === 'Gemm' ? node.input(2) : undefined;
  return c ? g.op('Add', [product, times(g, c, node.float('beta', 1))]) : product;
}
