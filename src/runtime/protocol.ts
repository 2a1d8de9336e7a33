// What the main thread and the thread with the sessions say to each other. Buffers are transferred,
// not copied.

import type { DType } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { SessionOptions } from './options.ts';

/** An input or output of a session. */
export interface Port {
  readonly name: string;
  /** Undefined for sequences, maps and optionals, and for element types unknown here. */
  readonly dtype: DType | undefined;
  readonly shape: readonly (number | string)[];
  /** Whether its tensors can be handed over; asking for others throws (or ends the process). */
  readonly crosses: boolean;
}

export interface WireTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Elements of a string tensor; `bytes` is empty then. */
  readonly strings?: readonly string[];
}

export type WireFeeds = readonly (readonly [name: string, tensor: WireTensor])[];

export interface Timed {
  readonly session: number;
  readonly feeds: WireFeeds;
}

export interface Opened {
  readonly session: number;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly loadMs: number;
}

/** One list of durations in milliseconds per timed session. */
export type Durations = readonly Float64Array[];

export interface Calls {
  open: {
    ask: { readonly source: string | Uint8Array; readonly options: SessionOptions };
    answer: Opened;
  };
  run: {
    ask: Timed & { readonly want: readonly string[] };
    answer: WireFeeds;
  };
  /** Runs the sessions in turn, A B A B, `rounds` times. */
  time: {
    ask: { readonly items: readonly Timed[]; readonly rounds: number };
    answer: Durations;
  };
  endProfiling: { ask: { readonly session: number }; answer: null };
  close: { ask: { readonly session: number }; answer: null };
}

export type CallName = keyof Calls;

export type Request = {
  [K in CallName]: { readonly id: number; readonly call: K; readonly ask: Calls[K]['ask'] };
}[CallName];

export type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: string };

const CROSSING = new Set<DType>([
  ...(['float32', 'float64', 'float16', 'bool', 'string'] as const),
  ...(['int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'] as const),
]);

/** Whether onnxruntime-node can hand over tensors of this type. */
export function canCross(dtype: DType | undefined): dtype is DType {
  return dtype !== undefined && CROSSING.has(dtype);
}

/**
 * Tensors ready to be posted, and free to be transferred: their bytes are copies, but for those of
 * `consumed` tensors, which are of no use afterwards.
 */
export async function toWire(
  feeds: Feeds,
  consumed: ReadonlySet<string> = new Set(),
): Promise<WireFeeds> {
  const wire = [...feeds].map(
    async ([name, tensor]) => [name, await tensorToWire(tensor, consumed.has(name))] as const,
  );
  return Promise.all(wire);
}

async function tensorToWire(tensor: Tensor, isConsumed: boolean): Promise<WireTensor> {
  const { dtype, shape, source } = tensor;
  if ('strings' in source) {
    const decoder = new TextDecoder();
    return {
      dtype,
      shape,
      bytes: new Uint8Array(0),
      strings: source.strings.map((s) => decoder.decode(s)),
    };
  }
  const bytes = await tensor.load();
  // A fresh copy is aligned, and nobody else's when its buffer leaves.
  return { dtype, shape, bytes: isConsumed ? own(bytes) : new Uint8Array(bytes) };
}

/** Only a buffer that is exactly the array's own may leave this thread. */
export function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const whole = buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength;
  return whole ? new Uint8Array(buffer) : new Uint8Array(bytes);
}

export function fromWire(feeds: WireFeeds): Map<string, Tensor> {
  return new Map(
    feeds.map(([name, { dtype, shape, bytes, strings }]) => {
      const encoder = new TextEncoder();
      const tensor = strings
        ? Tensor.strings(
            shape,
            strings.map((s) => encoder.encode(s)),
          )
        : Tensor.fromBytes(dtype, shape, bytes);
      return [name, tensor];
    }),
  );
}

export function transferables(feeds: WireFeeds): ArrayBuffer[] {
  return [...new Set(feeds.map(([, { bytes }]) => bytes.buffer))];
}
