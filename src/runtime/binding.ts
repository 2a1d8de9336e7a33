// onnxruntime-node, one floor below its public session class: the same native binding, but calls are
// synchronous (we are on a thread of our own), without the event loop's jitter in measurements, and
// types the public class refuses to describe (bfloat16, float8) can be named in errors.
// The dependency is pinned to the version these types were written for.

import { createRequire } from 'node:module';
import type { Tensor as OrtTensor } from 'onnxruntime-node';

export type { OrtTensor };

export interface NativeValueInfo {
  readonly name: string;
  readonly isTensor: boolean;
  /** TensorProto.DataType. */
  readonly type: number;
  /** -1 where a size is symbolic. */
  readonly shape: readonly number[];
  readonly symbolicDimensions: readonly string[];
}

export interface NativeSession {
  loadModel(path: string, options: object): void;
  loadModel(buffer: ArrayBufferLike, offset: number, length: number, options: object): void;
  readonly inputMetadata: readonly NativeValueInfo[];
  readonly outputMetadata: readonly NativeValueInfo[];
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches: Readonly<Record<string, null>>,
    options: object,
  ): Record<string, OrtTensor>;
  endProfiling(): void;
  dispose(): void;
}

interface Binding {
  readonly InferenceSession: new () => NativeSession;
  listSupportedBackends(): { readonly name: string; readonly bundled: boolean }[];
}

export interface Runtime {
  readonly Session: new () => NativeSession;
  readonly Tensor: typeof OrtTensor;
  /** Names of the providers this build of the binding knows, loadable or not. */
  readonly backends: readonly string[];
}

let runtime: Runtime | undefined;

/** Loads the native library on first use (some 30 ms). */
export function loadRuntime(): Runtime {
  if (!runtime) {
    const require = createRequire(import.meta.url);
    const { Tensor, env } = require('onnxruntime-node');
    // Errors come back as exceptions; the library's own lines on standard error would double them.
    env.logLevel = 'fatal';
    const native = require('onnxruntime-node/dist/binding.js');
    native.initOrt();
    const { InferenceSession, listSupportedBackends } = native.binding as Binding;
    const backends = listSupportedBackends().map((backend) => backend.name);
    runtime = { Session: InferenceSession, Tensor, backends };
  }
  return runtime;
}
