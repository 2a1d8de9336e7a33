// The thread of the pool: arithmetic on pieces of weights, nothing else.

import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { quantizePart } from '../tensor/block-task.ts';
import { factorGram } from '../tensor/feedback.ts';
import { zeroBlock } from '../tensor/zero-block.ts';
import type { Done, PoolReply, PoolRequest } from './pool.ts';

assert(parentPort, 'worker.ts runs as a worker thread');
const port = parentPort;

const DONE: Done = {};

function perform(request: PoolRequest) {
  switch (request.call) {
    case 'quantize':
      return quantizePart(request.ask);
    case 'factor':
      return factorGram(request.ask);
    case 'zero':
      zeroBlock(request.ask);
      return DONE;
  }
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
