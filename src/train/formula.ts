// Formulas written as nodes: the words in which losses, optimisers and schedules of a training step
// are said. Every new node has inferred types.

import { Builder, type Graph, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import type { DType } from '../tensor/dtype.ts';
import { isFloat } from '../tensor/dtype.ts';
import { floatTensor } from '../tensor/scale.ts';
import { Tensor } from '../tensor/tensor.ts';

type Operand = Value | number;

export class Formula {
  readonly model: Model;
  readonly g: Builder;
  readonly #numbers = new Map<string, Value>();

  /** Writes to the end of `graph`, the main graph where it is left out. */
  constructor(model: Model, graph: Graph = model.graph) {
    this.model = model;
    this.g = new Builder(graph, undefined, (node) => inferNode(model, node));
  }

  op(op: string, inputs: readonly (Value | undefined)[], attrs: Parameters<Builder['op']>[2] = {}) {
    return this.g.op(op, inputs, attrs);
  }

  add = (a: Value, b: Operand) => this.#binary('Add', a, b);
  sub = (a: Value, b: Operand) => this.#binary('Sub', a, b);
  mul = (a: Value, b: Operand) => this.#binary('Mul', a, b);
  div = (a: Value, b: Operand) => this.#binary('Div', a, b);
  max = (a: Value, b: Operand) => this.#binary('Max', a, b);
  min = (a: Value, b: Operand) => this.#binary('Min', a, b);
  less = (a: Value, b: Operand) => this.#binary('Less', a, b);
  greater = (a: Value, b: Operand) => this.#binary('Greater', a, b);
  equal = (a: Value, b: Operand) => this.#binary('Equal', a, b);
  and = (a: Value, b: Value) => this.op('And', [a, b]);
  sqrt = (a: Value) => this.op('Sqrt', [a]);
  square = (a: Value) => this.op('Mul', [a, a]);
  neg = (a: Value) => this.op('Neg', [a]);
  where = (condition: Value, a: Operand, b: Operand) => {
    const like = typeof a === 'number' ? (b as Value) : a;
    return this.op('Where', [condition, this.#operand(a, like), this.#operand(b, like)]);
  };

  cast(a: Value, to: DType): Value {
    return a.dtype === to ? a : this.op('Cast', [a], { to: CODES[to] ?? 1 });
  }

  /** A number of the given type, as a scalar. */
  number(value: number, dtype: DType): Value {
    const key = `${dtype}:${value}`;
    const known = this.#numbers.get(key);
    if (known) return known;
    const tensor = isFloat(dtype)
      ? floatTensor(dtype, [], Float64Array.of(value))
      : Tensor.scalar(dtype, value);
    const made = this.g.constant('c', tensor);
    this.#numbers.set(key, made);
    return made;
  }

  ints(values: readonly number[]): Value {
    return this.g.ints(values);
  }

  /** The sum over the axes, over all where none are named. */
  sum(a: Value, axes?: readonly number[], keepdims = false): Value {
    const inputs = axes ? [a, this.ints(axes)] : [a];
    return this.op('ReduceSum', inputs, { keepdims: keepdims ? 1 : 0 });
  }

  mean(a: Value, axes?: readonly number[], keepdims = false): Value {
    const inputs = axes ? [a, this.ints(axes)] : [a];
    return this.op('ReduceMean', inputs, { keepdims: keepdims ? 1 : 0 });
  }

  reshape(a: Value, shape: readonly number[]): Value {
    return this.op('Reshape', [a, this.ints(shape)]);
  }

  /** Sum of all. */
  total(values: readonly Value[]): Value {
    return values.length === 1 ? (values[0] as Value) : this.op('Sum', values);
  }

  /** Elements from `from` to before `to` along an axis. */
  slice(a: Value, axis: number, from: number, to: number): Value {
    return this.op('Slice', [a, this.ints([from]), this.ints([to]), this.ints([axis])]);
  }

  #binary(op: string, a: Value, b: Operand): Value {
    return this.op(op, [a, this.#operand(b, a)]);
  }

  #operand(value: Operand, like: Value): Value {
    return typeof value === 'number' ? this.number(value, like.dtype ?? 'float32') : value;
  }
}

/** Codes of ONNX's TensorProto.DataType that formulas cast to. */
const CODES: Partial<Record<DType, number>> = {
  float32: 1,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};
