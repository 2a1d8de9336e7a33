// A model loaded into onnxruntime, on a thread of its own: open, run, dispose.

import { statSync } from 'node:fs';
import type { XformError } from '../errors/error.ts';
import {
  cannotCross,
  missingFeed,
  runtimeRefused,
  unknownFeed,
  unknownOutput,
  wrongFeed,
} from '../errors/runtime.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cleanMessage } from './clean-message.ts';
import { defaultThreads } from './cores.ts';
import { Host, RuntimeFailure, sharedHost } from './host.ts';
import type { SessionOptions } from './options.ts';
import { fromWire, type Opened, own, type Port, toWire, transferables } from './protocol.ts';

export interface OpenOptions extends SessionOptions {
  /** The file's name, for messages, when the model is given as bytes. */
  readonly name?: string;
  /** A thread that no other session uses, to run beside them. */
  readonly ownThread?: boolean;
  /** Hands the model's buffer over to the session instead of copying it. */
  readonly consume?: boolean;
}

export interface Session {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Reading, optimising and initialising, inside onnxruntime. */
  readonly loadMs: number;
  /**
   * Runs once. `want` names outputs; left out, all whose type can be handed over. Feeds that are
   * `consumed` are handed over instead of copied, and cannot be read again.
   */
  run(
    feeds: Feeds,
    want?: readonly string[],
    consumed?: ReadonlySet<string>,
  ): Promise<Map<string, Tensor>>;
  /** Finishes the trace asked for by `profilePrefix`. */
  endProfiling(): Promise<void>;
  dispose(): Promise<void>;
}

/** Loads a model from a file (external data beside it is found) or from its bytes. */
export async function openSession(
  source: string | Uint8Array,
  options: OpenOptions = {},
): Promise<Session> {
  const host = options.ownThread ? new Host() : sharedHost();
  return new HostedSession(host, await openOn(host, source, options), source, options);
}

/** Part of `openSession` that measurements use alone, to keep several sessions on one thread. */
export async function openOn(
  host: Host,
  source: string | Uint8Array,
  options: OpenOptions,
): Promise<Opened> {
  const { name, ownThread: _, consume, ...rest } = options;
  // Says "no such file" in the system's own words.
  if (typeof source === 'string') statSync(source);
  const threads = options.threads ?? defaultThreads();
  const bytes =
    typeof source === 'string' ? undefined : consume ? own(source) : new Uint8Array(source);
  try {
    return await host.call(
      'open',
      { source: bytes ?? (source as string), options: { ...rest, threads } },
      bytes ? [bytes.buffer] : [],
    );
  } catch (error) {
    throw explain(error, 'load', typeof source === 'string' ? source : name);
  }
}

class HostedSession implements Session {
  readonly #host: Host;
  readonly #id: number;
  readonly #options: OpenOptions;
  readonly #file: string | undefined;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly loadMs: number;
  #disposed = false;

  constructor(host: Host, opened: Opened, source: string | Uint8Array, options: OpenOptions) {
    this.#host = host;
    this.#id = opened.session;
    this.#options = options;
    this.#file = typeof source === 'string' ? source : options.name;
    this.inputs = opened.inputs;
    this.outputs = opened.outputs;
    this.loadMs = opened.loadMs;
  }

  async run(
    feeds: Feeds,
    want?: readonly string[],
    consumed?: ReadonlySet<string>,
  ): Promise<Map<string, Tensor>> {
    const wanted = want ?? this.outputs.filter((port) => port.crosses).map((port) => port.name);
    this.#checkWanted(wanted);
    checkFeeds(this.inputs, feeds, this.#file);
    const wire = await toWire(feeds, consumed);
    try {
      const ask = { session: this.#id, feeds: wire, want: wanted };
      return fromWire(await this.#host.call('run', ask, transferables(wire)));
    } catch (error) {
      throw explain(error, 'run', this.#file);
    }
  }

  async endProfiling(): Promise<void> {
    await this.#host.call('endProfiling', { session: this.#id });
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#options.ownThread) await this.#host.terminate();
    else if (this.#host.isAlive) await this.#host.call('close', { session: this.#id });
  }

  /** Asking the native code for a 4-bit tensor would end the whole process. */
  #checkWanted(wanted: readonly string[]): void {
    const ports = new Map(this.outputs.map((port) => [port.name, port]));
    for (const name of wanted) {
      const port = ports.get(name);
      if (!port) throw unknownOutput(name, [...ports.keys()]);
      if (!port.crosses) throw cannotCross('output', name, typeName(port), { model: this.#file });
    }
    const [first] = this.outputs;
    if (wanted.length === 0 && first) {
      throw cannotCross('output', first.name, typeName(first), { model: this.#file });
    }
  }
}

/** Throws what is wrong with the feeds, in the user's terms rather than onnxruntime's. */
export function checkFeeds(inputs: readonly Port[], feeds: Feeds, file?: string): void {
  const known = new Set(inputs.map((port) => port.name));
  for (const name of feeds.keys()) if (!known.has(name)) throw unknownFeed(name, [...known]);
  for (const port of inputs) {
    const tensor = feeds.get(port.name);
    if (!port.crosses) throw cannotCross('input', port.name, typeName(port), { model: file });
    const expected = `${port.dtype} [${port.shape.map((dim) => dim || '?').join(', ')}]`;
    if (!tensor) throw missingFeed(port.name, expected);
    if (!fits(port, tensor)) {
      const actual = `${tensor.dtype} [${tensor.shape.join(', ')}]`;
      throw wrongFeed(port.name, expected, actual);
    }
  }
}

/** A declared rank of 0 may also mean that no shape was declared. */
function fits(port: Port, tensor: Tensor): boolean {
  if (port.dtype !== tensor.dtype) return false;
  if (port.shape.length === 0) return true;
  return (
    port.shape.length === tensor.shape.length &&
    port.shape.every((dim, i) => typeof dim === 'string' || dim === tensor.shape[i])
  );
}

function typeName(port: Port): string {
  return port.dtype ?? 'not a tensor (a sequence, map or optional)';
}

/** Puts what onnxruntime said into words for users; other errors stay as they are. */
export function explain(error: unknown, doing: 'load' | 'run', file: string | undefined): unknown {
  if (!(error instanceof RuntimeFailure)) return error;
  const { message, node } = cleanMessage(error.message);
  return runtimeRefused(doing, message, { model: file, node }) satisfies XformError;
}
