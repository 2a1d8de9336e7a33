// The thread of the pool: arithmetic on pieces of weights, nothing else.

import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { quantizePart } from '../tensor/block-task.ts';
import { factorGram } from '../tensor/feedback.ts';
import type { PoolReply, PoolRequest } from './pool.ts';

assert(parentPort, 'worker.ts runs as a worker thread');
const port = parentPort;

function perform(request: PoolRequest) {
  return request.call === 'quantize' ? quantizePart(request.ask) : factorGram(request.ask);
}

port.on('message', (request: PoolRequest) => {
  const { id } = request;
  try {
    const answer = perform(request);
    const buffers = Object.values(answer).flatMap((part) =>
      ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer ? [part.buffer] : [],
    );
    port.postMessage({ id, answer } satisfies PoolReply, buffers);
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    port.postMessage({ id, failure } satisfies PoolReply);
  }
});
