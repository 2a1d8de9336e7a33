// How gradients flow back through operators. A rule writes, with standard operators, the gradients of
// a node's inputs in terms of those of its outputs; the families in `gradients/` hold one per operator.
// The walker (`train/differentiate`) sums a rule's results over axes that were broadcast, adds up what
// several readers send back, and checks types and shapes, so that rules are one-liners. Rules write
// for opset 18 to 21; models are lifted there before.

import {
  type Builder,
  type Dim,
  isStatic,
  type Model,
  type Node,
  type Shape,
  type Value,
} from '../graph/index.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import { floatTensor } from '../tensor/scale.ts';
import { Tensor } from '../tensor/tensor.ts';
import { constantData, knownElements } from './context.ts';
import { inferNode } from './infer.ts';

/** One gradient per input; undefined where nothing flows. */
export type Gradient = (c: GradientContext) => readonly (Value | undefined)[];

/** What rounds to integers that stand for real numbers: gradients flow on through the integers. */
export interface StraightThrough {
  readonly straightThrough: Gradient;
}

/**
 * `stop`: the result does not change with small changes of the inputs (comparisons, indices,
 * rounding), so that nothing flows. A rule's absence, in contrast, is an error where it is needed.
 */
export type GradientRule = Gradient | StraightThrough | 'stop';

const rules = new Map<string, GradientRule>();

/** Registers the rules of a family; a second rule for an operator is a bug. */
export function gradients(table: Readonly<Record<string, GradientRule>>, domain = ''): void {
  for (const [op, rule] of Object.entries(table)) {
    const key = `${domain}:${op}`;
    if (rules.has(key)) throw new Error(`operator ${key} has two gradients`);
    rules.set(key, rule);
  }
}

export function gradientOf(node: Pick<Node, 'op' | 'domain'>): GradientRule | undefined {
  return rules.get(`${node.domain}:${node.op}`);
}

/** Operators with a rule, as `domain:op`. */
export function differentiableOps(): string[] {
  return [...rules].filter(([, rule]) => rule !== 'stop').map(([key]) => key);
}

/** What a rule may ask, and the words it writes with. All new nodes have inferred types. */
export class GradientContext {
  readonly node: Node;
  readonly model: Model;
  readonly g: Builder;
  readonly #dy: readonly (Value | undefined)[];
  readonly #wanted: (value: Value) => boolean;

  constructor(
    model: Model,
    node: Node,
    g: Builder,
    dy: readonly (Value | undefined)[],
    wanted: (value: Value) => boolean,
  ) {
    this.model = model;
    this.node = node;
    this.g = g;
    this.#dy = dy;
    this.#wanted = wanted;
  }

  get opset(): number {
    return this.model.opset;
  }

  /** Whether anything flows into output `index`. */
  flows(index: number): boolean {
    return this.#dy[index] !== undefined;
  }

  /** Gradient of the loss by output `index`; zeros where nothing flows back into it. */
  dy(index = 0): Value {
    const given = this.#dy[index];
    return given ?? this.zerosLike(this.y(index));
  }

  /** Whether the gradient of input `index` is of use to anybody. */
  wants(index: number): boolean {
    const value = this.node.inputs[index];
    return value !== undefined && this.#wanted(value);
  }

  /** `make()` where the gradient of input `index` is of use. */
  when(index: number, make: () => Value): Value | undefined {
    return this.wants(index) ? make() : undefined;
  }

  has(index: number): boolean {
    return this.node.inputs[index] !== undefined;
  }

  x(index = 0): Value {
    const value = this.node.inputs[index];
    if (!value) throw new Error(`${this.node.describe()} has no input ${index}`);
    return value;
  }

  y(index = 0): Value {
    const value = this.node.outputs[index];
    if (!value) throw new Error(`${this.node.describe()} has no output ${index}`);
    return value;
  }

  /** Adds output `index` to the node where it is one that it can also make (mean, indices). */
  extraOutput(index: number, hint: string): Value {
    const value = this.node.demandOutput(index, this.node.graph?.fresh(hint) ?? hint);
    if (!value.type) inferNode(this.model, this.node);
    return value;
  }

  op(op: string, inputs: readonly (Value | undefined)[], attrs: Attributes = {}): Value {
    return this.g.op(op, inputs, attrs);
  }

  ops(op: string, inputs: readonly (Value | undefined)[], count: number, attrs: Attributes = {}) {
    return this.g.ops(op, inputs, count, attrs);
  }

  add = (a: Value, b: Value): Value => this.op('Add', [a, b]);
  sub = (a: Value, b: Value): Value => this.op('Sub', [a, b]);
  mul = (a: Value, b: Value): Value => this.op('Mul', [a, b]);
  div = (a: Value, b: Value): Value => this.op('Div', [a, b]);
  neg = (a: Value): Value => this.op('Neg', [a]);
  matmul = (a: Value, b: Value): Value => this.op('MatMul', [a, b]);

  /** A number of the type of `like`, as a scalar. */
  scalar(value: number, like: Value): Value {
    const dtype = like.dtype ?? 'float32';
    const tensor = isFloat(dtype)
      ? floatTensor(dtype, [], Float64Array.of(value))
      : Tensor.scalar(dtype, value);
    return this.g.constant('c', tensor);
  }

  scale(value: Value, factor: number): Value {
    return factor === 1 ? value : this.mul(value, this.scalar(factor, value));
  }

  ints(values: readonly number[]): Value {
    return this.g.ints(values);
  }

  /** An int64 scalar. */
  int(value: number): Value {
    return this.g.constant('int', Tensor.scalar('int64', value));
  }

  /** 1 where `condition` holds, else 0, in the type of `like`. */
  mask(condition: Value, like: Value): Value {
    return this.op('CastLike', [condition, like]);
  }

  zerosLike(like: Value): Value {
    return this.mul(like, this.scalar(0, like));
  }

  /** The elements of an integer input that is known before the run. */
  known(index: number): readonly number[] | undefined {
    const value = this.node.inputs[index];
    const elements = value && knownElements(value);
    return elements?.every((dim) => typeof dim === 'number') ? (elements as number[]) : undefined;
  }

  /** The numbers of a constant input of any numeric type. */
  constantNumbers(index: number): readonly number[] | undefined {
    const data = constantData(this.x(index));
    return data && Array.from(elementsOf(data) as ArrayLike<number | bigint>, Number);
  }

  /** A constant of the type of `like`. */
  floats(shape: readonly number[], values: Float64Array, like: Value): Value {
    return this.g.constant('floats', floatTensor(like.dtype ?? 'float32', shape, values));
  }

  /** A float32 vector, whatever the type of the rest (scales of Resize). */
  singles(values: readonly number[]): Value {
    return this.g.constant('singles', Tensor.of('float32', [values.length], values));
  }

  /** For forms of an operator that the rule does not know. */
  unsupported(form: string): never {
    throw new UnsupportedForm(form);
  }

  /** Axes of a reduction, from attribute or input, counted from the front, in order. */
  reducedAxes(): readonly number[] {
    const rank = this.rank(this.x());
    const given = this.node.ints('axes') ?? (this.has(1) ? this.known(1) : undefined);
    if (this.has(1) && !given) throw new UnknownShape(this.x(1));
    if (given && given.length > 0)
      return given.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
    if (this.node.int('noop_with_empty_axes', 0)) return [];
    return Array.from({ length: rank }, (_, i) => i);
  }

  rank(value: Value): number {
    if (!value.shape) throw new UnknownShape(value);
    return value.shape.length;
  }

  /** Shape where every size is a number. */
  staticShape(value: Value): readonly number[] | undefined {
    return value.shape && isStatic(value.shape) ? value.shape : undefined;
  }

  /** The shape as an int64 vector: a constant, or made at run time. */
  shapeOf(value: Value): Value {
    const known = this.staticShape(value);
    return known ? this.ints(known) : this.op('Shape', [value]);
  }

  reshapeLike(value: Value, like: Value): Value {
    return this.op('Reshape', [value, this.shapeOf(like)]);
  }

  transpose(value: Value, perm: readonly number[]): Value {
    return perm.every((axis, i) => axis === i) ? value : this.op('Transpose', [value], { perm });
  }

  /** The last two axes exchanged. */
  transposeLast(value: Value): Value {
    const rank = this.rank(value);
    const perm = Array.from({ length: rank }, (_, i) => i);
    return this.transpose(value, [...perm.slice(0, -2), rank - 1, rank - 2]);
  }

  reduceSum(value: Value, axes: readonly number[], keepdims: boolean): Value {
    if (axes.length === 0) return value;
    return this.op('ReduceSum', [value, this.ints(axes)], { keepdims: keepdims ? 1 : 0 });
  }

  /** ReduceMean took its axes as an attribute until opset 17. */
  mean(value: Value, axes: readonly number[], keepdims: boolean): Value {
    const attrs = { keepdims: keepdims ? 1 : 0 };
    return this.opset < 18
      ? this.op('ReduceMean', [value], { ...attrs, axes: [...axes] })
      : this.op('ReduceMean', [value, this.ints(axes)], attrs);
  }

  /** Sums over the axes along which `like` was stretched, so that the result has its shape. */
  sumTo(value: Value, like: Value): Value {
    const [from, to] = [value.shape, like.shape];
    if (!from || !to) throw new UnknownShape(from ? like : value);
    const extra = from.length - to.length;
    const leading = Array.from({ length: Math.max(0, extra) }, (_, i) => i);
    const stretched = to.flatMap((dim, i) => (dim === 1 && !isOne(from, i + extra) ? [i] : []));
    const summed = this.reduceSum(value, leading, false);
    return this.reduceSum(summed, stretched, true);
  }
}

function isOne(shape: Shape, axis: number): boolean {
  return shape[axis] === (1 satisfies Dim);
}

type Attributes = Parameters<Builder['op']>[2];

/** A form of an operator that has no gradient, while others have. */
export class UnsupportedForm extends Error {}

/** A rule needs a shape that inference does not know. */
export class UnknownShape extends Error {
  readonly value: Value;

  constructor(value: Value) {
    super(`the shape of "${value.name}" is not known`);
    this.value = value;
  }
}
