// Worker threads for arithmetic on weights: each task goes to the thread with the fewest. They start
// with the first task and do not keep the program alive.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { BlockPart, BlockTask } from '../tensor/block-task.ts';
import type { NotFinite } from '../tensor/blocks.ts';
import type { FactorTask, Feedback } from '../tensor/feedback.ts';
import type { ZeroBlock } from '../tensor/zero-block.ts';
import { builtFile } from './location.ts';

export type PartAnswer = BlockPart | NotFinite;

export type PoolRequest =
  | { readonly id: number; readonly call: 'quantize'; readonly ask: BlockTask }
  | { readonly id: number; readonly call: 'factor'; readonly ask: FactorTask }
  | { readonly id: number; readonly call: 'zero'; readonly ask: ZeroBlock };

export type PoolReply =
  | { readonly id: number; readonly answer: PartAnswer | Feedback | Done }
  | { readonly id: number; readonly failure: string };

/** What was asked for lies in memory that threads share. */
export type Done = Readonly<Record<string, never>>;

interface Pending {
  resolve(answer: unknown): void;
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

  run(call: PoolRequest['call'], ask: PoolRequest['ask']): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.pending.set(id, { resolve, reject });
      this.#worker.ref();
      // Copied, not moved: the bytes may be those of a tensor.
      this.#worker.postMessage({ id, call, ask } as PoolRequest);
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

/** A new thread only where all others are busy: one that is never used keeps the program alive. */
function idlest(): Thread {
  const first = threads.find((thread) => thread.pending.size === 0);
  if (first) return first;
  if (threads.length < poolSize()) {
    const thread = new Thread();
    threads.push(thread);
    return thread;
  }
  return threads.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
}

/** `quantizePart` on some thread. */
export async function quantizeInPool(task: BlockTask): Promise<PartAnswer> {
  return (await idlest().run('quantize', task)) as PartAnswer;
}

/** `factorGram` on some thread. */
export async function factorInPool(task: FactorTask): Promise<Feedback> {
  return (await idlest().run('factor', task)) as Feedback;
}

/** `zeroBlock` on some thread; its matrices are in memory that threads share. */
export async function zeroInPool(task: ZeroBlock): Promise<void> {
  await idlest().run('zero', task);
}
