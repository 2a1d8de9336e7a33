// Worker threads for arithmetic on weights: each task goes to the thread with the fewest. They start
// with the first task and do not keep the program alive.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { BlockPart, BlockTask } from '../tensor/block-task.ts';
import type { NotFinite } from '../tensor/blocks.ts';
import { builtFile } from './location.ts';

export type PoolAnswer = BlockPart | NotFinite;

export type PoolReply =
  | { readonly id: number; readonly answer: PoolAnswer }
  | { readonly id: number; readonly failure: string };

interface Pending {
  resolve(answer: PoolAnswer): void;
  reject(reason: Error): void;
}

/** Threads beyond these would wait for the disk. */
const MAX_THREADS = 8;

class Thread {
  readonly pending = new Map<number, Pending>();
  readonly #worker = new Worker(builtFile('threads/worker'), { execArgv: [] });
  #next = 0;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (reply: PoolReply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', (code) => this.#fail(new Error(`a thread ended with code ${code}`)));
  }

  run(task: BlockTask): Promise<PoolAnswer> {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.pending.set(id, { resolve, reject });
      this.#worker.ref();
      // Copied, not moved: the bytes may be those of a tensor.
      this.#worker.postMessage({ id, task });
    });
  }

  #settle(reply: PoolReply): void {
    const pending = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (this.pending.size === 0) this.#worker.unref();
    if ('failure' in reply) pending?.reject(new Error(reply.failure));
    else pending?.resolve(reply.answer);
  }

  #fail(error: Error): void {
    threads = threads.filter((thread) => thread !== this);
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }
}

let threads: Thread[] = [];

/** How many tasks can run at a time. */
export function poolSize(): number {
  return Math.min(MAX_THREADS, availableParallelism());
}

/** Runs a task on some thread. */
export function runInPool(task: BlockTask): Promise<PoolAnswer> {
  while (threads.length < poolSize()) threads.push(new Thread());
  const [first, ...others] = threads as [Thread, ...Thread[]];
  let idlest = first;
  for (const thread of others) if (thread.pending.size < idlest.pending.size) idlest = thread;
  return idlest.run(task);
}
