// The worker thread as seen from outside: questions go in, answers come out, and if the thread dies
// every open question fails with the reason. An idle thread does not keep the program alive.

import { type ResourceLimits, Worker } from 'node:worker_threads';
import { runtimeDied } from '../errors/runtime.ts';
import { callEnded, callStarted, mayStart } from './in-flight.ts';
import { builtEntry } from './location.ts';
import type { CallName, Calls, Reply } from './protocol.ts';

interface Pending {
  resolve(answer: unknown): void;
  reject(reason: unknown): void;
}

/** What onnxruntime said, before anyone has put it into words for users. */
export class RuntimeFailure extends Error {}

export class Host {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #idle: (() => void)[] = [];
  #next = 1;
  #dead: Error | undefined;

  constructor(entry = builtEntry('worker'), resourceLimits: ResourceLimits = {}) {
    // Without the flags this process was started with: they are not for the thread.
    this.#worker = new Worker(entry, { execArgv: [], resourceLimits });
    this.#worker.unref();
    this.#worker.on('message', (reply: Reply) => this.#settle(reply));
    this.#worker.on('error', (error: Error) => this.#die(describe(error)));
    this.#worker.on('exit', (code) => this.#die(`its thread ended with code ${code}`));
  }

  get isAlive(): boolean {
    return this.#dead === undefined;
  }

  call<K extends CallName>(
    call: K,
    ask: Calls[K]['ask'],
    transfer: ArrayBuffer[] = [],
  ): Promise<Calls[K]['answer']> {
    if (this.#dead) return Promise.reject(this.#dead);
    // The process is about to end: nobody waits for the answer.
    if (!mayStart()) return new Promise(() => {});
    const id = this.#next++;
    return new Promise<Calls[K]['answer']>((resolve, reject) => {
      this.#worker.ref();
      callStarted();
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      this.#worker.postMessage({ id, call, ask }, transfer);
    });
  }

  /** Ends the thread with all its sessions, once it has answered: inside native code it must not. */
  async terminate(): Promise<void> {
    while (this.#pending.size > 0) {
      await new Promise<void>((resolve) => void this.#idle.push(resolve));
    }
    await this.#worker.terminate();
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (this.#pending.delete(reply.id)) callEnded();
    if (this.#pending.size === 0) {
      this.#worker.unref();
      for (const resume of this.#idle.splice(0)) resume();
    }
    if ('failure' in reply) pending?.reject(new RuntimeFailure(reply.failure));
    else pending?.resolve(reply.answer);
  }

  #die(reason: string): void {
    this.#dead ??= runtimeDied(reason);
    for (const { reject } of this.#pending.values()) {
      callEnded();
      reject(this.#dead);
    }
    this.#pending.clear();
    for (const resume of this.#idle.splice(0)) resume();
  }
}

let shared: Host | undefined;

/** The thread that sessions share unless they ask for their own; replaced when it has died. */
export function sharedHost(): Host {
  if (!shared?.isAlive) shared = new Host();
  return shared;
}

function describe(error: Error & { code?: string }): string {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') return 'it ran out of memory';
  return error.message;
}
