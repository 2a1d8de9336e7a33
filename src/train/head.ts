// Other classes for a classifier: its last product gets another number of outputs, with weights of its
// own (`--head classify:N`), or more outputs beside those it has (`--expand-classes N`).

import { headNotFound } from '../errors/train.ts';
import { type Dim, type Model, type Node, tensorType, type Value } from '../graph/index.ts';
import { constantData, inferTypes } from '../ops/index.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import { classifyTexts, isOfTokens } from './text-head.ts';
import { narrowed, widened } from './wide.ts';

interface Head {
  /** [inputs, classes], or [classes, inputs, …] where `isTransposed`. */
  readonly weight: Value;
  readonly isTransposed: boolean;
  readonly bias: Value | undefined;
  readonly classes: number;
  /** Behind the product. */
  readonly reshapes: readonly Node[];
}

/** Operators between the last product and the output that keep the number of classes. */
const THROUGH = new Set([
  'Softmax',
  'LogSoftmax',
  'Sigmoid',
  'Identity',
  'Relu',
  'GlobalAveragePool',
  'Add',
  'Flatten',
  'Squeeze',
  'Cast',
  'Reshape',
]);

/** Replaces the classes of the model in place; `keep` keeps the weights of those that are there. */
export function setClasses(model: Model, classes: number, keep: boolean, seed: number): void {
  if (!keep && isOfTokens(model)) {
    classifyTexts(model, classes, seed);
    return;
  }
  const output = model.graph.outputs[0];
  const head = output && findHead(output);
  if (!output || !head) throw headNotFound(model.path ?? '', output?.producer?.op);
  const isMore = classes > head.classes;
  if (keep && !isMore) throw headNotFound(model.path ?? '', `${head.classes} classes`);
  model.graph.setData(head.weight, resized(head, classes, keep, new Random(seed, 'head')));
  if (head.bias) setBias(model, head.bias, classes, keep);
  for (const node of head.reshapes) setReshape(model, node, head.classes, classes);
  const dims: Dim[] = (output.shape ?? []).map((dim, i) => (i === 1 ? classes : dim));
  for (const node of model.graph.nodes) for (const value of node.outputs) value.type = undefined;
  output.type = tensorType(output.dtype, dims);
  inferTypes(model);
}

/** The weight for another number of classes: old ones kept where asked, new ones drawn. */
function resized(head: Head, classes: number, keep: boolean, random: Random): Tensor {
  const { weight, isTransposed } = head;
  const shape = weight.data?.shape ?? [];
  const inputs = isTransposed ? shape.slice(1).reduce((a, b) => a * b, 1) : (shape[0] ?? 1);
  const old = valuesOf(weight);
  const at = (i: number, c: number, all: number) => (isTransposed ? c * inputs + i : i * all + c);
  const made = new Float32Array(inputs * classes);
  for (let c = 0; c < classes; c++) {
    for (let i = 0; i < inputs; i++) {
      const drawn = (2 * random.uniform() - 1) / Math.sqrt(inputs);
      const isKept = keep && c < head.classes;
      made[at(i, c, classes)] = isKept ? (old[at(i, c, head.classes)] as number) : drawn;
    }
  }
  const size = isTransposed ? [classes, ...shape.slice(1)] : [inputs, classes];
  return narrowed(Tensor.of('float32', size, made), weight.dtype);
}

function valuesOf({ data }: Value): Float32Array {
  return (data ? widened(data).values() : new Float32Array()) as Float32Array;
}

/** The number of classes, where the shape names it. */
function setReshape(model: Model, node: Node, old: number, classes: number): void {
  const [, shape] = node.inputs;
  const sizes = shape && constantData(shape)?.numbers();
  if (!shape || !sizes?.includes(old)) return;
  const data = Tensor.int64(sizes.map((size) => (size === old ? classes : size)));
  node.setInput(1, model.graph.addInitializer(`${shape.name}/classes`, data));
}

function setBias(model: Model, bias: Value, classes: number, keep: boolean): void {
  const old = valuesOf(bias);
  const rank = bias.data?.shape.length ?? 1;
  const values = Float32Array.from({ length: classes }, (_, c) => (keep ? ownBias(old, c) : 0));
  const shape = [...new Array<number>(Math.max(0, rank - 1)).fill(1), classes];
  model.graph.setData(bias, narrowed(Tensor.of('float32', shape, values), bias.dtype));
}

/** New classes have none; one number stands for all that are there. */
function ownBias(old: Float32Array, c: number): number {
  return (old.length === 1 ? old[0] : old[c]) ?? 0;
}

/** Weight and bias of the last product before the first output; none where there is no such head. */
export function headOf(model: Model): Value[] {
  const [output] = model.graph.outputs;
  const head = output && findHead(output);
  return head ? [head.weight, ...(head.bias ? [head.bias] : [])] : [];
}

/** Walks back from the output to the product that makes the classes. */
function findHead(output: Value): Head | undefined {
  let bias: Value | undefined;
  let value: Value | undefined = output;
  const reshapes: Node[] = [];
  while (value?.producer) {
    const node: Node = value.producer;
    const head = headAt(node, bias);
    if (head) return { ...head, reshapes };
    if (!THROUGH.has(node.op)) return undefined;
    if (node.op === 'Reshape') reshapes.push(node);
    if (node.op === 'Add') bias = node.inputs.find((input) => input?.data);
    value = node.inputs.find((input) => input?.producer);
  }
  return undefined;
}

function headAt(node: Node, added: Value | undefined): Omit<Head, 'reshapes'> | undefined {
  const [, weight, own] = node.inputs;
  if (!weight?.data || !isProduct(node, weight.data.shape.length)) return undefined;
  const isTransposed = node.op === 'Conv' || node.int('transB', 0) === 1;
  const classes = weight.data.shape[isTransposed ? 0 : 1] ?? 0;
  return { weight, isTransposed, bias: own?.data ? own : added, classes };
}

function isProduct(node: Node, rank: number): boolean {
  if (node.op === 'Conv') return node.int('group', 1) === 1;
  return (
    (node.op === 'Gemm' && node.int('transA', 0) === 0) || (node.op === 'MatMul' && rank === 2)
  );
}
