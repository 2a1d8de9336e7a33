// Tiny models for trying kernels: inputs that a session can be given (float32 and a Cast for types that
// cannot cross its border), small numbers as weights, outputs that can be handed back.

import {
  type Attrs,
  Builder,
  Graph,
  Model,
  tensorType,
  type Value,
} from '../../src/graph/index.ts';
import { byteLengthOf, type DType, dtypeCode, elementCount } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** A kernel and the model that shows whether it is there. */
export interface Trial {
  readonly kernel: string;
  readonly model: Model;
  readonly feeds: readonly Tensor[];
  /** What the first output must be made of; left out: anything. */
  readonly expected?: number | undefined;
}

/** Types of tensors that go in and out of sessions. */
const CROSSING = new Set<DType>([
  ...['float32', 'float16', 'float64', 'bool', 'int8', 'uint8'],
  ...['int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'],
] as DType[]);

const MICROSOFT = 'com.microsoft';
/** The newest version of the file format that onnxruntime 1.30 reads is 13. */
const irOf = (opset: number) => (opset >= 25 ? 13 : opset >= 23 ? 11 : opset >= 21 ? 10 : 8);

export class Sketch {
  readonly graph = new Graph('trial');
  readonly feeds: Tensor[] = [];
  readonly #g = new Builder(this.graph);

  input(dtype: DType, shape: readonly number[], value?: number): Value {
    const crosses = CROSSING.has(dtype) ? dtype : 'float32';
    this.feeds.push(filled(crosses, shape, value));
    const input = this.#g.input(`x${this.feeds.length}`, tensorType(crosses, [...shape]));
    return crosses === dtype ? input : this.cast(input, dtype);
  }

  weight(dtype: DType, shape: readonly number[], value?: number): Value {
    return this.#g.constant('w', filled(dtype, shape, value));
  }

  ints(...values: number[]): Value {
    return this.#g.constant('i', Tensor.int64(values));
  }

  op(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs = {}): Value {
    return this.#g.op(op, inputs, attrs);
  }

  ops(
    op: string,
    inputs: readonly (Value | undefined)[],
    count: number,
    attrs: Attrs = {},
  ): Value[] {
    return this.#g.ops(op, inputs, count, attrs);
  }

  /** An operator of com.microsoft. */
  contrib(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs = {}): Value {
    return this.#g.op(op, inputs, attrs, { domain: MICROSOFT });
  }

  contribs(op: string, inputs: readonly (Value | undefined)[], count: number, attrs: Attrs = {}) {
    return this.#g.ops(op, inputs, count, attrs, { domain: MICROSOFT });
  }

  cast(value: Value, dtype: DType): Value {
    return this.op('Cast', [value], { to: dtypeCode(dtype) });
  }

  output(value: Value, dtype: DType): void {
    const crosses = CROSSING.has(dtype);
    const out = crosses ? value : this.cast(value, 'float32');
    out.type = tensorType(crosses ? dtype : 'float32');
    this.#g.output(out);
  }
}

interface TrialOptions {
  readonly opset?: number;
  readonly ir?: number;
  /** Element type of the result. */
  readonly gives?: DType;
  readonly expected?: number;
}

export function trial(
  kernel: string,
  { opset = 17, ir = irOf(opset), gives = 'float32', expected }: TrialOptions,
  draw: (s: Sketch) => Value,
): Trial {
  const s = new Sketch();
  s.output(draw(s), gives);
  const opsets = new Map([
    ['', opset],
    [MICROSOFT, 1],
  ]);
  return { kernel, model: new Model(s.graph, opsets, ir), feeds: s.feeds, expected };
}

/** Small numbers that every type holds: 1 0 1 0 …, or one number all over. */
function filled(dtype: DType, shape: readonly number[], value?: number): Tensor {
  const size = elementCount(shape);
  if (dtype === 'float16' || dtype === 'bfloat16') {
    const one = dtype === 'float16' ? 0x3c00 : 0x3f80;
    return Tensor.of(dtype, shape, new Uint16Array(size).fill(value === 0 ? 0 : one));
  }
  if (dtype.startsWith('float8')) return Tensor.of(dtype, shape, new Uint8Array(size));
  if (dtype.endsWith('int4') || dtype.endsWith('int2')) {
    return Tensor.fromBytes(dtype, shape, new Uint8Array(byteLengthOf(dtype, size)).fill(0x11));
  }
  const values = Array.from({ length: size }, (_, i) => value ?? (i + 1) % 2);
  return Tensor.of(dtype, shape, values);
}
