// Weights of statically quantised products: a scale per output channel, integers in the file behind a
// DequantizeLinear. Each is measured and stored once, whoever reads it; the integers are calculated
// when somebody writes them.

import { weightNotFinite } from '../../errors/model.ts';
import type { Model, Node, Value } from '../../graph/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import {
  type Affines,
  type ArrayScheme,
  affinesOf,
  codeBytes,
  codesOf,
} from '../../tensor/affine-array.ts';
import { byteLengthOf, type DType } from '../../tensor/dtype.ts';
import { scaleBlocks } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { Float8 } from './float8.ts';
import { encodeFloat8 } from './float8-array.ts';
import type { PairWriter } from './static-insert.ts';
import type { Scheme } from './static-lift.ts';
import type { ConstantOperand } from './static-products.ts';

/** A constant as integers. */
export interface QuantizedConstant {
  readonly value: Value;
  readonly data: Tensor;
  readonly scheme: ArrayScheme;
  /** Its scales may be widened until it is stored. */
  readonly affines: Affines;
  /** What stands for it in the graph, once it is there. */
  output?: Value;
}

export class Weights {
  readonly #model: Model;
  readonly #scheme: Scheme;
  readonly #known = new Map<string, QuantizedConstant>();

  constructor(model: Model, scheme: Scheme) {
    this.#model = model;
    this.#scheme = scheme;
  }

  get all(): Iterable<QuantizedConstant> {
    return this.#known.values();
  }

  /** The weight of a product, its factor included. */
  async weight(node: Node, { index, value, data }: ConstantOperand): Promise<QuantizedConstant> {
    const alpha = node.op === 'Gemm' ? node.float('alpha', 1) : 1;
    const scaled = alpha === 1 ? data : scaleBlocks(data, data.size, () => alpha);
    const key = `${value.name} ${index} ${alpha}`;
    return this.#measure(key, node, value, scaled, this.#schemeOf(node, index));
  }

  /** A constant beside activations: in one type with them. */
  constant(node: Node, value: Value, data: Tensor): Promise<QuantizedConstant> {
    return this.#measure(`${value.name} constant`, node, value, data, this.#ofActivations());
  }

  #schemeOf(node: Node, index: number): ArrayScheme {
    // Integer kernels multiply activations with weights: what comes first is an activation.
    if (index === 0) return this.#ofActivations();
    const { weights: type, reduceRange, perChannel } = this.#scheme;
    const axis = perChannel ? quantizeRole(node)?.channels?.(node, index) : undefined;
    // QLinearConv takes one zero point for all channels.
    const symmetric = !type.startsWith('u') || axis !== undefined;
    return { type, symmetric, reduceRange, axis };
  }

  #ofActivations(): ArrayScheme {
    const { activations: type, symmetricActivations: symmetric } = this.#scheme;
    return { type, symmetric };
  }

  async #measure(
    name: string,
    node: Node,
    value: Value,
    data: Tensor,
    scheme: ArrayScheme,
  ): Promise<QuantizedConstant> {
    const key = `${name} ${scheme.axis}`;
    const known = this.#known.get(key);
    if (known) return known;
    const onNotFinite = () => {
      throw weightNotFinite(value.name, node.describe(), this.#model.path);
    };
    const { scales, zeroPoints } = await measured(data, scheme, onNotFinite);
    const affines = { scales: scales.slice(), zeroPoints };
    const made: QuantizedConstant = { value, data, scheme, affines };
    this.#known.set(key, made);
    return made;
  }
}

const cache = new WeakMap<Tensor, Map<string, Affines>>();

/** Tensors never change: a search that quantises again and again measures them once. */
async function measured(
  data: Tensor,
  scheme: ArrayScheme,
  onNotFinite: () => never,
): Promise<Affines> {
  const ofTensor = cache.get(data) ?? new Map<string, Affines>();
  cache.set(data, ofTensor);
  const key = `${scheme.type} ${scheme.symmetric} ${scheme.reduceRange} ${scheme.axis}`;
  const affines = ofTensor.get(key) ?? (await affinesOf(data, scheme, onNotFinite));
  ofTensor.set(key, affines);
  return affines;
}

/** Stores a constant, before the node that reads it first. */
export function storeConstant(
  model: Model,
  node: Node,
  constant: QuantizedConstant,
  scheme: Scheme,
  pairs: PairWriter,
): Value {
  const { value, data, scheme: own, affines } = constant;
  const { axis } = own;
  const { type, scales, zero, compute } = scheme.float8
    ? inFloat8(scheme.float8, constant)
    : {
        type: own.type as DType,
        scales: affines.scales,
        zero: codeBytes(own.type, affines.zeroPoints),
        compute: async () => codeBytes(own.type, await codesOf(data, own, affines)),
      };
  const shape = axis === undefined ? [] : [scales.length];
  const source = { byteLength: byteLengthOf(type, data.size), compute };
  const { graph } = model;
  const inputs = [
    graph.addInitializer(`${value.name}_quantized`, new Tensor(type, data.shape, source)),
    graph.addInitializer(`${value.name}_scale`, Tensor.of('float32', shape, scales)),
    graph.addInitializer(`${value.name}_zero_point`, Tensor.fromBytes(type, shape, zero)),
  ];
  return pairs.dequantize(node, inputs, value.name, axis);
}

/** One scale per channel from its largest magnitude, which the integer scales know up to a factor. */
function inFloat8(type: NonNullable<Scheme['float8']>, constant: QuantizedConstant) {
  const { affines, data, scheme } = constant;
  const levels = scheme.type === 'int8' ? 127 : 255;
  const scales = Float32Array.from(affines.scales, (scale) => {
    const largest = scale * levels;
    return Float8.affine(type, { min: -largest, max: largest }).scale;
  });
  return {
    type: type as DType,
    scales,
    zero: new Uint8Array(scales.length),
    compute: () => encodeFloat8(type, data, scales, scheme.axis),
  };
}
