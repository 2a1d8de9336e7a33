// The weights of dynamic quantisation as initializers: each is quantised once for all nodes that read
// the same bytes in the same way, and computed only when somebody writes or runs the model.

import { weightNotFinite } from '../../errors/model.ts';
import type { Graph, Model, Node, Value } from '../../graph/index.ts';
import { type ArrayScheme, type QuantizedArray, quantizeArray } from '../../tensor/affine-array.ts';
import { transposeMatrix } from '../../tensor/block-packing.ts';
import { elementCount } from '../../tensor/dtype.ts';
import { groupEqual } from '../../tensor/hash.ts';
import { Tensor } from '../../tensor/tensor.ts';

/** A float constant that a node multiplies with, or picks rows of. */
export interface Weight {
  /** Which input of the node it is. */
  readonly input: number;
  /** The constant itself, perhaps behind a Transpose. */
  readonly value: Value;
  readonly data: Tensor;
  /** The shape under which it is quantised. */
  readonly view: readonly number[];
  /** The axis of that shape with a scale for each index; undefined: one scale. */
  readonly axis: number | undefined;
  readonly type: 'int8' | 'uint8';
  /** What the operator reads: the shape of the codes; with the last two axes exchanged. */
  readonly shape: readonly number[];
  readonly isTurned: boolean;
  /** The shape of scales and zero points. */
  readonly parameters: readonly number[];
}

export interface QuantizedWeight {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoints: Value;
}

export class DynamicWeights {
  readonly #model: Model;
  readonly #reduceRange: boolean;
  /** Tensors that stand for others of the same content. */
  #originals = new Map<Tensor, Tensor>();
  readonly #arrays = new Map<string, QuantizedArray>();
  readonly #values = new Map<string, Value>();
  readonly #ids = new Map<unknown, number>();

  constructor(model: Model, reduceRange: boolean) {
    this.#model = model;
    this.#reduceRange = reduceRange;
  }

  /** Finds out which of the constants hold the same bytes. */
  async findEqual(weights: readonly Weight[]): Promise<void> {
    const tensors = [...new Set(weights.map(({ data }) => data))];
    for (const group of await groupEqual(tensors, (tensor) => tensor)) {
      for (const tensor of group) this.#originals.set(tensor, group[0] as Tensor);
    }
  }

  /** The same for constants of the same content. */
  originalOf(data: Tensor): Tensor {
    return this.#originals.get(data) ?? data;
  }

  /** The initializers, made when they are asked for first. */
  quantized(graph: Graph, node: Node, weight: Weight): QuantizedWeight {
    const { view, axis, type, isTurned, shape, parameters, value } = weight;
    const data = this.originalOf(weight.data);
    const key = [this.#idOf(graph.root), this.#idOf(data), view, axis, type].join(';');
    const array = this.#array(key, { ...weight, data }, node);
    const name = value.name || 'weight';
    const codes = () => (isTurned ? turned(array.codes, shape) : array.codes.reshape(shape));
    return {
      codes: this.#value(graph, `${key};codes;${isTurned};${shape}`, `${name}_quantized`, codes),
      scales: this.#value(graph, `${key};scales;${parameters}`, `${name}_scale`, () =>
        array.scales.reshape(parameters),
      ),
      zeroPoints: this.#value(graph, `${key};zeros;${parameters}`, `${name}_zero_point`, () =>
        array.zeroPoints.reshape(parameters),
      ),
    };
  }

  #array(key: string, { data, view, axis, type, value }: Weight, node: Node): QuantizedArray {
    const known = this.#arrays.get(key);
    if (known) return known;
    const scheme: ArrayScheme = {
      type,
      axis,
      symmetric: type === 'int8',
      reduceRange: this.#reduceRange,
    };
    // The node will be gone when the numbers are looked at.
    const described = node.describe();
    const array = quantizeArray(data.reshape(view), scheme, () => {
      throw weightNotFinite(value.name, described, this.#model.path);
    });
    this.#arrays.set(key, array);
    return array;
  }

  #value(graph: Graph, key: string, name: string, make: () => Tensor): Value {
    const known = this.#values.get(key);
    if (known) return known;
    const value = graph.root.addInitializer(name, make());
    this.#values.set(key, value);
    return value;
  }

  #idOf(thing: unknown): number {
    const id = this.#ids.get(thing) ?? this.#ids.size;
    this.#ids.set(thing, id);
    return id;
  }
}

/** Codes with their last two axes exchanged. */
function turned(codes: Tensor, shape: readonly number[]): Tensor {
  const [columns = 1, rows = 1] = shape.slice(-2);
  const step = rows * columns;
  return new Tensor(codes.dtype, shape, {
    byteLength: elementCount(shape),
    async compute() {
      const from = await codes.load();
      const to = new Uint8Array(from.length);
      for (let at = 0; at < from.length; at += step) {
        transposeMatrix(from.subarray(at, at + step), rows, columns, to.subarray(at, at + step));
      }
      return to;
    },
  });
}
