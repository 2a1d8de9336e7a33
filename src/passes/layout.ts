// How operators carry a transposition: op(transpose(x, perm)) = transpose(op'(x), perm'), with the
// axes that op names renamed in op'. An axis i of transpose(x, perm) is axis perm[i] of x.

import { type Attr, attr, type Node, type Value } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import { transposeTensor } from '../tensor/transpose.ts';
import { constant, intsOf } from './match.ts';
import { carryReshape } from './reshape-layout.ts';

export type Perm = readonly number[];

/** What becomes of one operator when its data come untransposed. */
export interface Carried {
  /** Inputs that must come as x with transpose(x, perm) what they are now. */
  readonly data: readonly number[];
  /** New constants for other inputs. */
  readonly constants: ReadonlyMap<number, Tensor>;
  readonly attrs: ReadonlyMap<string, Attr>;
  /** By which each output has to be transposed to be what it is now. */
  readonly perm: Perm;
}

export function inverse(perm: Perm): number[] {
  const result = new Array<number>(perm.length);
  perm.forEach((axis, i) => {
    result[axis] = i;
  });
  return result;
}

/** The perm of a transposition by `first` and then by `second`. */
export function compose(first: Perm, second: Perm): number[] {
  return second.map((axis) => first[axis] as number);
}

export function isIdentity(perm: Perm): boolean {
  return perm.every((axis, i) => axis === i);
}

/** The perm of a Transpose; the default turns all axes around. */
export function permOf(transpose: Node): number[] | undefined {
  const given = transpose.ints('perm');
  if (given) return given;
  const rank = transpose.input(0)?.shape?.length;
  return rank === undefined ? undefined : Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

const UNARY = new Set(
  `Abs Acos Acosh Asin Asinh Atan Atanh Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu
  HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu
  Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu`.split(/\s+/),
);

const BROADCASTING = new Set(
  `Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow PRelu Sub
  Sum Where Xor`.split(/\s+/),
);

const AXIS = new Set(['Concat', 'Split', 'Softmax', 'LogSoftmax', 'Hardmax']);

type Rule = (
  node: Node,
  perm: Perm,
  opset: number,
) => (Omit<Carried, 'perm'> & { perm?: Perm }) | undefined;

const NOTHING = { constants: new Map<number, Tensor>(), attrs: new Map<string, Attr>() };

/** How a node carries the transposition of its data; undefined: it does not. */
export function carry(node: Node, perm: Perm, opset: number): Carried | undefined {
  if (node.domain !== '' || node.subgraphs().length > 0) return undefined;
  const rule = RULES.get(node.op);
  const found = rule?.(node, perm, opset);
  return found && { ...found, perm: found.perm ?? perm };
}

const unary: Rule = () => ({ data: [0], ...NOTHING });

/** Constants are turned the other way; lower ranks get leading ones first. */
const broadcasting: Rule = (node, perm) => {
  // Before opset 7.
  if (node.attrs.has('broadcast')) return undefined;
  const data: number[] = [];
  const constants = new Map<number, Tensor>();
  for (const [i, value] of node.inputs.entries()) {
    if (!value) return undefined;
    const rank = value.shape?.length;
    const fixed = constant(value);
    if (rank === 0 || fixed?.size === 1) {
      if (rank === undefined || rank > perm.length) return undefined;
    } else if (fixed) {
      const turned = turn(fixed, perm);
      if (!turned) return undefined;
      constants.set(i, turned);
    } else if (rank === perm.length) data.push(i);
    else return undefined;
  }
  return { data, constants, attrs: NOTHING.attrs };
};

const MAX_TURNED = 1 << 22;

function turn(tensor: Tensor, perm: Perm): Tensor | undefined {
  const missing = perm.length - tensor.shape.length;
  if (missing < 0 || tensor.size > MAX_TURNED || tensor.byteLength < tensor.size) return undefined;
  const full = tensor.reshape([...new Array<number>(missing).fill(1), ...tensor.shape]);
  return transposeTensor(full, inverse(perm));
}

function axisIn(axis: number, perm: Perm): number {
  return perm[axis < 0 ? axis + perm.length : axis] as number;
}

/** One attribute names the axis. */
const oneAxis: Rule = (node, perm, opset) => {
  const isSoft = node.op.endsWith('max');
  const given = node.int('axis', isSoft ? (opset < 13 ? 1 : -1) : 0);
  const axis = axisIn(given, perm);
  // Until opset 13 these took all axes from `axis` on as one.
  const last = perm.length - 1;
  const isLast = axis === last && (given === last || given === -1);
  if (isSoft && opset < 13 && !isLast) return undefined;
  const attrs = new Map([['axis', attr.int(axis)]]);
  if (node.op !== 'Concat') return { data: [0], constants: NOTHING.constants, attrs };
  const inputs = broadcasting(node, perm, opset);
  return inputs && inputs.data.length + inputs.constants.size === node.inputs.length
    ? { ...inputs, attrs }
    : undefined;
};

/** Axes in an attribute, or since `since` in an input; none given: all. */
function renamed(node: Node, perm: Perm, input: number) {
  const axes = intsOf(node, 'axes', input);
  if (!axes) return undefined;
  const named = axes.map((axis) => axisIn(axis, perm));
  const isAttribute = node.attrs.has('axes');
  return {
    axes: axes.map((axis) => (axis < 0 ? axis + perm.length : axis)),
    constants: new Map(isAttribute ? [] : [[input, Tensor.int64(named)]]),
    attrs: new Map(isAttribute ? [['axes', attr.ints(named)]] : []),
  };
}

/** What is left of a perm when axes (of the transposed value) disappear. */
function without(perm: Perm, axes: readonly number[]): number[] {
  const kept = perm.filter((_, i) => !axes.includes(i));
  const order = [...kept].sort((a, b) => a - b);
  return kept.map((axis) => order.indexOf(axis));
}

const reduce: Rule = (node, perm) => {
  const keeps = node.int('keepdims', 1) !== 0;
  const found = renamed(node, perm, 1);
  if (!found) return undefined;
  const { axes, ...changes } = found;
  return { data: [0], ...changes, perm: keeps ? perm : without(perm, axes) };
};

const arg: Rule = (node, perm) => {
  const axis = node.int('axis', 0);
  const positive = axis < 0 ? axis + perm.length : axis;
  const keeps = node.int('keepdims', 1) !== 0;
  const attrs = new Map([['axis', attr.int(axisIn(axis, perm))]]);
  const left = keeps ? perm : without(perm, [positive]);
  return { data: [0], constants: NOTHING.constants, attrs, perm: left };
};

const squeeze: Rule = (node, perm) => {
  const found = renamed(node, perm, 1);
  if (!found) return undefined;
  const { axes, ...changes } = found;
  return { data: [0], ...changes, perm: without(perm, axes) };
};

/** The new axes stay where they are; the others keep their order among themselves. */
const unsqueeze: Rule = (node, perm) => {
  const given = intsOf(node, 'axes', 1);
  if (!given) return undefined;
  const rank = perm.length + given.length;
  const added = given.map((axis) => (axis < 0 ? axis + rank : axis));
  const others = Array.from({ length: rank }, (_, i) => i).filter((i) => !added.includes(i));
  const result = Array.from({ length: rank }, (_, i) => i);
  others.forEach((at, k) => {
    result[at] = others[perm[k] as number] as number;
  });
  return { data: [0], ...NOTHING, perm: result };
};

const slice: Rule = (node, perm) => {
  const isAttribute = node.attrs.has('starts');
  const starts = isAttribute ? node.ints('starts')?.length : node.input(1)?.shape?.[0];
  if (typeof starts !== 'number') return undefined;
  const given = intsOf(node, 'axes', 3) ?? (node.input(3) ? undefined : [...Array(starts).keys()]);
  if (!given) return undefined;
  const axes = given.map((axis) => axisIn(axis, perm));
  if (isAttribute) {
    return { data: [0], constants: NOTHING.constants, attrs: new Map([['axes', attr.ints(axes)]]) };
  }
  return { data: [0], constants: new Map([[3, Tensor.int64(axes)]]), attrs: NOTHING.attrs };
};

const pad: Rule = (node, perm) => {
  if (node.input(3)) {
    const axes = intsOf(node, 'axes', 3)?.map((axis) => axisIn(axis, perm));
    return (
      axes && { data: [0], constants: new Map([[3, Tensor.int64(axes)]]), attrs: NOTHING.attrs }
    );
  }
  const pads = intsOf(node, 'pads', 1);
  const rank = perm.length;
  if (pads?.length !== 2 * rank) return undefined;
  const turned = inverse(perm);
  const both = [...turned, ...turned.map((axis) => axis + rank)].map((i) => pads[i] as number);
  return node.attrs.has('pads')
    ? { data: [0], constants: NOTHING.constants, attrs: new Map([['pads', attr.ints(both)]]) }
    : { data: [0], constants: new Map([[1, Tensor.int64(both)]]), attrs: NOTHING.attrs };
};

/** One index takes its axis away, a list of them keeps it. */
const gather: Rule = (node, perm) => {
  const rank = node.input(1)?.shape?.length;
  const given = node.int('axis', 0);
  const axis = given < 0 ? given + perm.length : given;
  if (rank === undefined || rank > 1) return undefined;
  const attrs = new Map([['axis', attr.int(axisIn(axis, perm))]]);
  const left = rank === 0 ? without(perm, [axis]) : perm;
  return { data: [0], constants: NOTHING.constants, attrs, perm: left };
};

/** Statistics per channel: the channels must stay axis 1. */
const perChannel: Rule = (_, perm) => (perm[1] === 1 ? { data: [0], ...NOTHING } : undefined);

const reshape: Rule = (node, perm) => {
  const found = carryReshape(node, perm);
  if (!found) return undefined;
  const constants = new Map([[1, found.target]]);
  return { data: [0], constants, attrs: NOTHING.attrs, perm: found.perm };
};

/** Works on the last axis of its first input, which must stay the last. */
const lastAxis: Rule = (node, perm) => {
  const last = perm.length - 1;
  if (perm[last] !== last || node.outputs.length > 1) return undefined;
  if (node.op === 'MatMul')
    return node.input(1)?.shape?.length === 2 ? unary(node, perm, 0) : undefined;
  const axis = node.int('axis', -1);
  return axis === -1 || axis === last ? unary(node, perm, 0) : undefined;
};

const RULES = new Map<string, Rule>([
  ...[...UNARY].map((op): [string, Rule] => [op, unary]),
  ...[...BROADCASTING].map((op): [string, Rule] => [op, broadcasting]),
  ...[...AXIS].map((op): [string, Rule] => [op, oneAxis]),
  ...['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].map(
    (kind): [string, Rule] => [`Reduce${kind}`, reduce],
  ),
  ['ArgMax', arg],
  ['ArgMin', arg],
  ['Squeeze', squeeze],
  ['Unsqueeze', unsqueeze],
  ['Slice', slice],
  ['Pad', pad],
  ['Gather', gather],
  ['Reshape', reshape],
  ['MatMul', lastAxis],
  ['LayerNormalization', lastAxis],
  ['RMSNormalization', lastAxis],
  ['BatchNormalization', perChannel],
  ['InstanceNormalization', perChannel],
]);

/** The perm, if it only moves axes of size 1: then it is a Reshape. */
export function movesOnlyOnes(perm: Perm, x: Value): boolean {
  const { shape } = x;
  if (!shape) return false;
  const kept = perm.filter((axis) => shape[axis] !== 1);
  return kept.every((axis, i) => i === 0 || axis > (kept[i - 1] as number));
}
