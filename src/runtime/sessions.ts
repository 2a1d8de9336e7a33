// The sessions of one thread or process, by number. Everything here is synchronous.

import assert from 'node:assert/strict';
import { dtypeOf } from '../tensor/dtype.ts';
import { viewOf } from '../tensor/tensor.ts';
import {
  loadRuntime,
  type NativeSession,
  type NativeValueInfo,
  type OrtTensor,
  type Runtime,
} from './binding.ts';
import { type SessionOptions, toOrtOptions } from './options.ts';
import {
  canCross,
  type Durations,
  type Opened,
  type Port,
  type Timed,
  type WireFeeds,
  type WireTensor,
} from './protocol.ts';

type NativeFeeds = Readonly<Record<string, OrtTensor>>;

export class Sessions {
  readonly #runtime: Runtime = loadRuntime();
  readonly #open = new Map<number, NativeSession>();
  #next = 1;

  open(source: string | Uint8Array, options: SessionOptions): Opened {
    const started = performance.now();
    const native = new this.#runtime.Session();
    const ort = toOrtOptions(options);
    if (typeof source === 'string') native.loadModel(source, ort);
    else native.loadModel(source.buffer, source.byteOffset, source.byteLength, ort);
    const loadMs = performance.now() - started;
    const session = this.#next++;
    this.#open.set(session, native);
    return {
      session,
      inputs: native.inputMetadata.map(toPort),
      outputs: native.outputMetadata.map(toPort),
      loadMs,
    };
  }

  run(session: number, feeds: WireFeeds, want: readonly string[]): WireFeeds {
    const results = this.#get(session).run(this.#native(feeds), fetch(want), {});
    return want.map((name) => [name, fromNative(results[name])] as const);
  }

  /** Milliseconds of each run; the sessions take turns. Outputs that cannot cross stay inside. */
  time(items: readonly Timed[], rounds: number): Durations {
    const turns = items.map(({ session, feeds }) => {
      const native = this.#get(session);
      const outputs = native.outputMetadata.map(toPort).filter((port) => port.crosses);
      return {
        native,
        feeds: this.#native(feeds),
        fetches: fetch(outputs.map((port) => port.name)),
        times: new Float64Array(rounds),
      };
    });
    for (let i = 0; i < rounds; i++) {
      for (const { native, feeds, fetches, times } of turns) {
        const started = performance.now();
        native.run(feeds, fetches, {});
        times[i] = performance.now() - started;
      }
    }
    return turns.map((turn) => turn.times);
  }

  endProfiling(session: number): void {
    this.#get(session).endProfiling();
  }

  close(session: number): void {
    this.#get(session).dispose();
    this.#open.delete(session);
  }

  #get(session: number): NativeSession {
    const native = this.#open.get(session);
    assert(native, `session ${session} is closed`);
    return native;
  }

  #native(feeds: WireFeeds): NativeFeeds {
    const { Tensor } = this.#runtime;
    return Object.fromEntries(
      feeds.map(([name, wire]) => {
        const data = wire.strings ?? viewOf(wire.dtype, wire.bytes);
        // The constructor is overloaded by type, which a table of types cannot say.
        return [name, new Tensor(wire.dtype as 'float32', data as Float32Array, wire.shape)];
      }),
    );
  }
}

function fetch(want: readonly string[]): Record<string, null> {
  return Object.fromEntries(want.map((name) => [name, null]));
}

function toPort(info: NativeValueInfo): Port {
  if (!info.isTensor) return { name: info.name, dtype: undefined, shape: [], crosses: false };
  const dtype = dtypeOf(info.type);
  const shape = info.shape.map((dim, i) => (dim >= 0 ? dim : (info.symbolicDimensions[i] ?? '')));
  return { name: info.name, dtype, shape, crosses: canCross(dtype) };
}

function fromNative(tensor: OrtTensor | undefined): WireTensor {
  assert(tensor, 'onnxruntime left an output out');
  const dtype = tensor.type as WireTensor['dtype'];
  const shape = tensor.dims;
  const { data } = tensor;
  if (Array.isArray(data)) return { dtype, shape, bytes: new Uint8Array(0), strings: data };
  const { buffer, byteOffset, byteLength } = data as Float32Array<ArrayBuffer>;
  return { dtype, shape, bytes: new Uint8Array(buffer, byteOffset, byteLength) };
}
