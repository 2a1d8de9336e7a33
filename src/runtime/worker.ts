// The thread where sessions live: a run blocks whatever thread it is on, and progress bars, Ctrl-C
// and timeouts belong to the main one.

import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { type Reply, type Request, transferables, type WireFeeds } from './protocol.ts';
import { Sessions } from './sessions.ts';

assert(parentPort, 'worker.ts runs as a worker thread');
const port = parentPort;
let sessions: Sessions | undefined;

function perform(request: Request): { answer: unknown; transfer: ArrayBuffer[] } {
  sessions ??= new Sessions();
  switch (request.call) {
    case 'open':
      return plain(sessions.open(request.ask.source, request.ask.options));
    case 'run': {
      const { session, feeds, want } = request.ask;
      const answer: WireFeeds = sessions.run(session, feeds, want);
      return { answer, transfer: transferables(answer) };
    }
    case 'time':
      return plain(sessions.time(request.ask.items, request.ask.rounds));
    case 'endProfiling':
      return plain(sessions.endProfiling(request.ask.session));
    case 'close':
      return plain(sessions.close(request.ask.session));
  }
}

function plain(answer: unknown) {
  return { answer, transfer: [] };
}

port.on('message', (request: Request) => {
  const { id } = request;
  try {
    const { answer, transfer } = perform(request);
    port.postMessage({ id, answer } satisfies Reply, transfer);
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    port.postMessage({ id, failure } satisfies Reply);
  }
});
