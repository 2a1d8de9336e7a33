// What an operator's rules may ask about the node they are applied to.

import {
  type Dim,
  type Graph,
  type Node,
  type Shape,
  type TensorType,
  type Type,
  tensorType,
  unknownDim,
  type Value,
} from '../graph/index.ts';
import { type DType, isInteger } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Elements beyond this are never tracked: shapes and axes are short. */
const MAX_KNOWN_ELEMENTS = 1024;

/** Inputs that contradict each other; the driver turns it into a problem with the node's name. */
export class InferenceFailure extends Error {}

/** Returns how many contradictions it has found; those of a trial are not reported. */
export type InferGraph = (graph: Graph, trial?: boolean) => number;

export class InferContext {
  readonly node: Node;
  /** Version of the node's domain. */
  readonly opset: number;
  /** Infers a body (If, Loop, Scan) whose inputs have been given types. */
  readonly inferGraph: InferGraph;
  /** Before IR 4 every initializer had to be listed as an input, but could not be fed. */
  readonly #isFed: boolean;

  constructor(node: Node, opset: number, inferGraph: InferGraph, irVersion = 4) {
    this.node = node;
    this.opset = opset;
    this.inferGraph = inferGraph;
    this.#isFed = irVersion >= 4;
  }

  get inputCount(): number {
    return this.node.inputs.length;
  }

  has(index: number): boolean {
    return this.node.inputs[index] !== undefined;
  }

  /** Whether the node makes its output `index`. */
  makes(index: number): boolean {
    return (this.node.outputs[index]?.name ?? '') !== '';
  }

  type(index: number): Type | undefined {
    return this.node.inputs[index]?.type;
  }

  dtype(index: number): DType | undefined {
    return this.node.inputs[index]?.dtype;
  }

  shape(index: number): Shape | undefined {
    return this.node.inputs[index]?.shape;
  }

  rank(index: number): number | undefined {
    return this.shape(index)?.length;
  }

  /** The elements of a small integer input: from data, or from shape arithmetic. */
  known(index: number): readonly Dim[] | undefined {
    const value = this.node.inputs[index];
    return value && (knownElements(value) ?? shortIntegers(this.constant(index)));
  }

  /** `known` where every element is a number. */
  knownNumbers(index: number): readonly number[] | undefined {
    const dims = this.known(index);
    return dims?.every((dim) => typeof dim === 'number') ? (dims as readonly number[]) : undefined;
  }

  /** The data of an input that cannot change: a constant initializer or a Constant node. */
  constant(index: number): Tensor | undefined {
    const value = this.node.inputs[index];
    return value && (constantData(value) ?? (this.#isFed ? undefined : value.data));
  }

  /** Counts an axis from the front; fails when it is out of range. */
  axis(axis: number, rank: number): number {
    const positive = axis < 0 ? axis + rank : axis;
    if (positive < 0 || positive >= rank) this.fail(`axis ${axis} is outside of rank ${rank}`);
    return positive;
  }

  /** A tensor type of a given rank and unknown sizes. */
  ranked(dtype: DType | undefined, rank: number): TensorType {
    return tensorType(dtype, Array.from({ length: rank }, unknownDim));
  }

  /** Says why these inputs cannot be: `Gemm needs A's columns to equal B's rows, but …`. */
  fail(message: string): never {
    throw new InferenceFailure(message);
  }
}

/** The data of a value that no run can change; undefined for everything computed or fed. */
export function constantData(value: Value): Tensor | undefined {
  if (value.data) {
    const reader = value.uses[0]?.node.graph;
    return !reader || reader.isConstant(value) ? value.data : undefined;
  }
  const { producer } = value;
  return producer?.op === 'Constant' && producer.domain === ''
    ? attributeData(producer)
    : undefined;
}

/** What a Constant node holds, in whichever of its attributes; strings are left out. */
function attributeData(node: Node): Tensor | undefined {
  const data = node.tensor('value');
  if (data) return data;
  const [int, float] = [node.int('value_int'), node.float('value_float')];
  if (int !== undefined) return Tensor.scalar('int64', int);
  if (float !== undefined) return Tensor.scalar('float32', float);
  const [ints, floats] = [node.ints('value_ints'), node.floats('value_floats')];
  if (ints) return Tensor.int64(ints);
  return floats && Tensor.of('float32', [floats.length], floats);
}

/** The elements of a small integer or boolean value where they are known, as dimensions. */
export function knownElements(value: Value): readonly Dim[] | undefined {
  if (value.known) return value.known;
  const elements = shortIntegers(constantData(value));
  if (elements) value.known = elements;
  return elements;
}

function shortIntegers(data: Tensor | undefined): readonly number[] | undefined {
  const isWhole = data && (isInteger(data.dtype) || data.dtype === 'bool');
  if (!isWhole || data.shape.length > 1) return undefined;
  return data.size > MAX_KNOWN_ELEMENTS || data.isDerived ? undefined : data.numbers();
}
