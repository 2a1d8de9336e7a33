// Bottleneck adapters (Houlsby et al. 2019): behind the products that end the attention and the
// feed-forward part of a block, y + relu(y·A + a)·B + b with A [D, width] and B [width, D], where B and
// both biases start at zero, so that at first the model is what it was. Trained are these, the scales and
// biases of norms, and the head; the adapters stay in the model that is written.

import { Builder, type Model, type Node, type Value } from '../graph/index.ts';
import { constantData, inferNode } from '../ops/index.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import { headOf } from './head.ts';

export interface BottleneckOptions {
  readonly width: number;
  readonly seed: number;
}

/** Deviation of A at the start: small, as in the paper. */
const DEVIATION = 0.02;
/** What may stand between a product and the sum with what went around it. */
const THROUGH = new Set(['Identity', 'Dropout', 'Reshape', 'Transpose', 'Cast']);

/** Puts adapters behind every product that feeds a residual sum, in place; returns their weights' names. */
export function addBottlenecks(model: Model, options: BottleneckOptions): Set<string> {
  const names = new Set<string>();
  for (const node of [...model.graph.nodes]) {
    const size = outputSize(node);
    const end = size === undefined ? undefined : endOf(node);
    if (size === undefined || !end || !isResidual(end, node)) continue;
    for (const value of addOne(model, end, size, options)) names.add(value.name);
  }
  return names;
}

/** D, of a product with a matrix of weights. */
function outputSize(node: Node): number | undefined {
  const weight = node.inputs[1];
  const data = weight && constantData(weight);
  if (data?.shape.length !== 2 || data.dtype !== 'float32' || node.domain !== '') return undefined;
  if (node.op === 'MatMul') return data.shape[1];
  return node.op === 'Gemm' ? data.shape[node.int('transB', 0) === 1 ? 0 : 1] : undefined;
}

/** The result of a product with its bias, where only one node reads it. */
function endOf({ output }: Node): Value | undefined {
  const next = onlyReader(output);
  if (next?.op !== 'Add') return next && output;
  const isBias = next.inputs.some((input) => input && constantData(input) !== undefined);
  return isBias ? onlyReader(next.output) && next.output : output;
}

function onlyReader({ uses }: Value): Node | undefined {
  return uses.length === 1 ? uses[0]?.node : undefined;
}

/** Whether it is added to what the product itself was made of. */
function isResidual(end: Value, product: Node): boolean {
  let value = end;
  let next = onlyReader(value);
  while (next && THROUGH.has(next.op) && next.inputs[0] === value) {
    value = next.output;
    next = onlyReader(value);
  }
  if (next?.op !== 'Add') return false;
  const other = next.inputs.find((input) => input !== value);
  return other !== undefined && !constantData(other) && isBehind(product, other);
}

/** Whether the node is made of the value. */
function isBehind(node: Node, value: Value): boolean {
  const seen = new Set<Node>();
  const open: Node[] = [node];
  for (let at = open.pop(); at; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    if (at.inputs.includes(value)) return true;
    for (const input of at.inputs) if (input?.producer) open.push(input.producer);
  }
  return false;
}

function addOne(model: Model, end: Value, size: number, options: BottleneckOptions): Value[] {
  const { width, seed } = options;
  const [use] = end.uses;
  if (!use) return [];
  const g = new Builder(model.graph, use.node, (node) => inferNode(model, node));
  const random = new Random(seed, `bottleneck behind ${end.name}`);
  const drawn = Float32Array.from({ length: size * width }, () => DEVIATION * random.normal());
  const weight = (name: string, shape: number[], values: Float32Array) =>
    g.constant(`${end.name}#adapter_${name}`, Tensor.of('float32', shape, values));
  const zeros = (name: string, shape: number[]) =>
    weight(name, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
  const a = weight('down', [size, width], drawn);
  const [c, b, d] = [
    zeros('down_bias', [width]),
    zeros('up', [width, size]),
    zeros('up_bias', [size]),
  ];
  const inner = g.op('Relu', [g.op('Add', [g.op('MatMul', [end, a]), c])]);
  const change = g.op('Add', [g.op('MatMul', [inner, b]), d]);
  use.node.setInput(use.index, g.op('Add', [end, change]));
  return [a, c, b, d];
}

/** Scales and biases of norms, and the weights of the head: what is trained beside adapters. */
export function normsAndHead(model: Model): Set<Value> {
  const found = new Set<Value>(headOf(model));
  for (const value of model.graph.initializers) {
    if (isOfNorm(value)) found.add(value);
  }
  return found;
}

/** Read by normalisations, or a vector that scales or is added to what a vector has scaled. */
function isOfNorm(value: Value): boolean {
  const isPart = (node: Node) =>
    /Norm/.test(node.op) || (isVector(value) && (node.op === 'Mul' || isShift(node, value)));
  return value.uses.length > 0 && value.uses.every(({ node }) => isPart(node));
}

function isShift(node: Node, value: Value): boolean {
  const scaled = node.inputs.find((input) => input !== value)?.producer;
  if (node.op !== 'Add' || scaled?.op !== 'Mul') return false;
  return scaled.inputs.some((one) => one && isVector(one));
}

function isVector(value: Value): boolean {
  const shape = constantData(value)?.shape ?? [];
  return shape.filter((dim) => dim > 1).length === 1;
}
