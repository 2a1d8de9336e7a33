// The thread of the pool: arithmetic on pieces of weights, nothing else.

import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { type BlockTask, quantizePart } from '../tensor/block-task.ts';
import type { PoolReply } from './pool.ts';

assert(parentPort, 'worker.ts runs as a worker thread');
const port = parentPort;

port.on('message', ({ id, task }: { id: number; task: BlockTask }) => {
  try {
    const answer = quantizePart(task);
    const buffers = Object.values(answer).flatMap((part) =>
      ArrayBuffer.isView(part) ? [part.buffer as ArrayBuffer] : [],
    );
    port.postMessage({ id, answer } satisfies PoolReply, buffers);
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    port.postMessage({ id, failure } satisfies PoolReply);
  }
});
