// A network under construction: a graph whose nodes and weights are named after the module they
// belong to (`layer1.0.conv1/Conv`, `layer1.0.conv1.weight`), with seeded weights and shared
// constants.

import {
  type Attrs,
  Builder,
  Graph,
  Model,
  type Shape,
  symbol,
  tensorType,
  type Value,
} from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Initializer, initialized } from './initialize.ts';

/** The first opset with Gelu; LayerNormalization came with 17. */
const OPSET = 20;
const IR_VERSION = 9;

/** `[batch, …]`: strings are sizes that every run may choose. */
type Dims = readonly (number | string)[];

export class Net {
  readonly #builder: Builder;
  readonly #seed: number;
  readonly #constants = new Map<string, Value>();

  constructor(name: string, seed: number) {
    this.#builder = new Builder(new Graph(name));
    this.#seed = seed;
  }

  input(name: string, dtype: DType, dims: Dims): Value {
    return this.#builder.input(name, tensorType(dtype, shapeOf(dims)));
  }

  output(value: Value, name: string, dims: Dims): void {
    value.type = tensorType('float32', shapeOf(dims));
    this.#builder.output(value, name);
  }

  /** A trainable weight, or a running statistic. */
  weight(name: string, shape: readonly number[], initializer: Initializer): Value {
    return this.#builder.constant(name, initialized(shape, initializer, this.#seed, name));
  }

  op(scope: string, op: string, inputs: readonly (Value | undefined)[], attrs?: Attrs): Value {
    return this.#builder.op(op, inputs, attrs, { name: this.#nodeName(scope, op) });
  }

  /** A node with several outputs. */
  ops(
    scope: string,
    op: string,
    inputs: readonly (Value | undefined)[],
    count: number,
    attrs?: Attrs,
  ): Value[] {
    return this.#builder.ops(op, inputs, count, attrs, { name: this.#nodeName(scope, op) });
  }

  /** Axes, shapes and other short lists of integers; equal lists are one initializer. */
  ints(...values: number[]): Value {
    return this.#constant(`ints_${values.join('_')}`, () => Tensor.int64(values));
  }

  int(value: number): Value {
    return this.#constant(`int_${value}`, () => Tensor.scalar('int64', value));
  }

  scalar(value: number): Value {
    return this.#constant(`float_${value}`, () => Tensor.scalar('float32', value));
  }

  #constant(key: string, make: () => Tensor): Value {
    const known = this.#constants.get(key);
    if (known) return known;
    const value = this.#builder.constant(`constants.${key}`, make());
    this.#constants.set(key, value);
    return value;
  }

  #nodeName(scope: string, op: string): string {
    return this.#builder.graph.fresh(scope ? `${scope}/${op}` : op);
  }

  finish(): Model {
    const model = new Model(this.#builder.graph, new Map([['', OPSET]]), IR_VERSION);
    model.producerName = 'xform';
    return model;
  }
}

function shapeOf(dims: Dims): Shape {
  return dims.map((dim) => (typeof dim === 'number' ? dim : symbol(dim)));
}
