// Which weights the nodes have that dynamic quantisation is about, and how they lie: MatMul [.., K, N],
// Gemm [K, N] or [N, K], Conv [M, C/g, ..], Gather [V, D], Attention [I, 3D], LSTM [D, 4H, I]; or why
// a node stays float.

import type { Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { constantBehind, producer } from '../match.ts';
import type { DynamicOptions, Reading } from './dynamic-plan.ts';
import type { Weight } from './dynamic-weights.ts';

/** Smaller ones cost more time than they save. */
const MIN_ELEMENTS = 1024;

/** Float constants, and what cannot be quantised about others. */
function floatProblem(data: Tensor, isAsked: boolean): string | undefined {
  if (data.dtype !== 'float32' && data.dtype !== 'float16') return `its weight is ${data.dtype}`;
  const isSmall = data.size < MIN_ELEMENTS && !isAsked;
  if (isSmall || data.size === 0) return `its weight has only ${data.size} elements`;
  return undefined;
}

const NOT_CONSTANT = 'its weight is not constant';

/** Why an input is no constant. */
function notConstant(value: Value | undefined): string {
  const source = producer(value, 'Transpose')?.input(0) ?? value;
  if (source?.producer?.op === 'DequantizeLinear') return 'it is quantised already';
  return source?.data ? 'its weight is a graph input, which callers may replace' : NOT_CONSTANT;
}

export function readProduct(
  node: Node,
  options: DynamicOptions,
  isAsked: boolean,
): Reading | undefined {
  const [left, right] = node.inputs;
  if (!left || !right) return undefined;
  const switches = ['transA', 'transBatchA', 'transBatchB'];
  if (node.op === 'FusedMatMul' && switches.some((name) => node.int(name, 0) !== 0)) {
    return 'it transposes an operand';
  }
  const found = constantBehind(right);
  if (!found) return readComputed(node, left, right, options.products || isAsked);
  const { value, data, transpose } = found;
  const problem = floatProblem(data, isAsked);
  if (problem) return problem;
  const { shape } = data;
  if (shape.length < 2) return 'its weight is a vector';
  const isRows = (transpose !== undefined) !== (node.int('transB', 0) === 1);
  if (isRows && shape.length > 2) return 'its weight is a stack of transposed matrices';
  // A stack of matrices would have to have zero points for each.
  const axis = options.perChannel && shape.length === 2 ? (isRows ? 0 : 1) : undefined;
  const weight: Weight = {
    input: 1,
    value,
    data,
    view: shape,
    axis,
    type: options.weights,
    shape: isRows ? [shape[1] as number, shape[0] as number] : shape,
    isTurned: isRows,
    parameters: axis === undefined ? [] : [shape[axis] as number],
  };
  return { weights: [weight], transpose };
}

function readComputed(node: Node, left: Value, right: Value, isAsked: boolean): Reading {
  if (constantData(left)) return 'its constant is the first operand, not the second';
  const reason = [left, right].map(notConstant).find((why) => why !== NOT_CONSTANT);
  if (reason) return reason;
  if (!isAsked || node.op !== 'MatMul') return 'both of its operands are computed';
  const areFloat = left.dtype === 'float32' && right.dtype === 'float32';
  return areFloat ? { weights: [] } : 'its operands are not float32';
}

export function readConv(
  node: Node,
  options: DynamicOptions,
  isAsked: boolean,
): Reading | undefined {
  const value = node.input(1);
  const data = value && constantData(value);
  if (!value || !data) return notConstant(value);
  const problem = floatProblem(data, isAsked);
  if (problem) return problem;
  if (!options.convolutions && !isAsked) {
    return 'quantised at run time, convolutions usually get slower: mode static suits them';
  }
  const { shape } = data;
  if (shape.length < 3) return 'its weight has no spatial axes';
  // ConvInteger has one zero point; those of int8 are 0.
  const isPerChannel = options.perChannel && options.weights === 'int8';
  const channels = shape[0] as number;
  const weight: Weight = {
    input: 1,
    value,
    data,
    view: shape,
    axis: isPerChannel ? 0 : undefined,
    type: options.weights,
    shape,
    isTurned: false,
    parameters: isPerChannel ? [channels, ...shape.slice(2).map(() => 1)] : [],
  };
  return { weights: [weight] };
}

/** Undefined: it picks from something else than a table of floats. */
export function readTable(
  node: Node,
  options: DynamicOptions,
  isAsked: boolean,
): Reading | undefined {
  const value = node.input(0);
  const data = value && constantData(value);
  if (!value || !data?.dtype.startsWith('float')) return undefined;
  const problem = floatProblem(data, isAsked);
  if (problem) return problem;
  if (options.embeddings === false && !isAsked) return 'embeddings stay float';
  const { shape } = data;
  const hasRows = shape.length === 2 && node.int('axis', 0) === 0;
  const axis = options.perChannel && hasRows ? 0 : undefined;
  const weight: Weight = {
    input: 0,
    value,
    data,
    view: shape,
    axis,
    type: options.weights,
    shape,
    isTurned: false,
    // Picked together with the rows, and multiplied with them.
    parameters: axis === undefined ? [] : [shape[0] as number, 1],
  };
  return { weights: [weight] };
}

/** What QAttention does not have. */
const MORE_ATTENTION = ['qkv_hidden_sizes', 'rotary_embedding_dim'];

export function readAttention(
  node: Node,
  options: DynamicOptions,
  isAsked: boolean,
): Reading | undefined {
  const value = node.input(1);
  const data = value && constantData(value);
  if (!value || !data) return notConstant(value);
  const problem = floatProblem(data, isAsked);
  if (problem) return problem;
  if (data.dtype !== 'float32') return `QAttention has no ${data.dtype}`;
  const more = MORE_ATTENTION.find((name) => node.attrs.has(name));
  if (more) return `QAttention has no ${more}`;
  if (node.input(5) || node.input(6)) return 'QAttention has no attention bias and no shared past';
  const { shape } = data;
  const axis = options.perChannel ? 1 : undefined;
  const weight: Weight = {
    input: 1,
    value,
    data,
    view: shape,
    axis,
    type: options.weights,
    shape,
    isTurned: false,
    parameters: axis === undefined ? [] : [shape[1] as number],
  };
  return { weights: [weight] };
}

export function readRecurrent(
  node: Node,
  options: DynamicOptions,
  isAsked: boolean,
): Reading | undefined {
  const weights: Weight[] = [];
  for (const input of [1, 2]) {
    const value = node.input(input);
    const data = value && constantData(value);
    if (!value || !data) return notConstant(value);
    const problem = floatProblem(data, isAsked);
    if (problem) return problem;
    if (data.dtype !== 'float32') return `its weights are ${data.dtype}`;
    weights.push(recurrentWeight(node, { input, value, data }, options));
  }
  if (node.op === 'LSTM' && node.int('layout', 0) === 0) return { weights };
  const what = node.op === 'LSTM' ? 'LSTM with the batch first' : node.op;
  const reason = `there is no quantised ${what}: 8 bits in the file, float when it runs`;
  return { weights, reason };
}

/** [directions, gates * hidden, inputs]: a scale for each row, or each direction. */
function recurrentWeight(
  node: Node,
  { input, value, data }: Pick<Weight, 'input' | 'value' | 'data'>,
  { perChannel }: DynamicOptions,
): Weight {
  const [directions = 1, rows = 1, width = 1] = data.shape;
  const base = { input, value, data, type: 'int8' } as const;
  if (node.op !== 'LSTM' || node.int('layout', 0) !== 0) {
    // One axis at most may have scales of its own in DequantizeLinear.
    const axis = perChannel ? 1 : undefined;
    const parameters = perChannel ? [rows] : [];
    return { ...base, view: data.shape, axis, shape: data.shape, isTurned: false, parameters };
  }
  return {
    ...base,
    view: perChannel ? [directions * rows, width] : [directions, rows * width],
    axis: 0,
    shape: [directions, width, rows],
    isTurned: true,
    parameters: perChannel ? [directions, rows] : [directions],
  };
}
