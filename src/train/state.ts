// The state of a step while the step is written: slots that come in, and what they become.

import { type Model, tensorType, Value } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { StateKind } from './plan.ts';

export interface Slot {
  readonly kind: StateKind;
  /** The parameter or buffer it belongs to. */
  readonly of?: Value | undefined;
  readonly input: Value;
  readonly initial: Tensor;
  output?: Value;
}

export class StateWriter {
  readonly slots: Slot[] = [];
  /** Inputs that are new in every step. */
  readonly perStep: Value[] = [];
  readonly #model: Model;
  readonly #initial: ReadonlyMap<Value, Tensor>;

  /** `initial`: what parameters and buffers start from. */
  constructor(model: Model, initial: ReadonlyMap<Value, Tensor>) {
    this.#model = model;
    this.#initial = initial;
  }

  /** The parameter or buffer itself. */
  own(kind: 'parameter' | 'buffer', value: Value): Slot {
    return this.#add({ kind, of: value, input: value, initial: this.#start(value) });
  }

  /** More state of a parameter, in its shape: zeros, ones, or a copy of it. */
  beside(of: Value, kind: StateKind, fill: 0 | 1 | 'copy', name: string = kind): Slot {
    const start = this.#start(of);
    const initial = fill === 'copy' ? start : constant(start, fill);
    const input = this.#input(`${of.name}#${name}`, tensorType(start.dtype, start.shape));
    return this.#add({ kind, of, input, initial });
  }

  /** A number of the whole step. */
  scalar(name: string, dtype: DType, initial: number): Slot {
    const input = this.#input(`#${name}`, tensorType(dtype, []));
    return this.#add({ kind: 'scalar', input, initial: Tensor.scalar(dtype, initial) });
  }

  /** A scalar input that is new in every step. */
  everyStep(name: string, dtype: DType): Value {
    const value = this.#input(name, tensorType(dtype, []));
    this.perStep.push(value);
    return value;
  }

  of(parameter: Value, kind: StateKind): Slot[] {
    return this.slots.filter((slot) => slot.of === parameter && slot.kind === kind);
  }

  #input(name: string, type: Value['type']): Value {
    const value = new Value(this.#model.graph.fresh(name), type);
    this.#model.graph.inputs.push(value);
    return value;
  }

  #start(value: Value): Tensor {
    const start = this.#initial.get(value);
    if (!start) throw new Error(`"${value.name}" is not part of the state`);
    return start;
  }

  #add(slot: Slot): Slot {
    this.slots.push(slot);
    return slot;
  }
}

function constant({ dtype, shape, size, byteLength }: Tensor, fill: 0 | 1): Tensor {
  if (fill === 0) return Tensor.fromBytes(dtype, shape, new Uint8Array(byteLength));
  return Tensor.of(dtype, shape, new Float32Array(size).fill(1));
}
