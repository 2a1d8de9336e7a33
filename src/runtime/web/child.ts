// A Node process that runs models in onnxruntime-web. WebAssembly keeps the memory it once took, and
// an abort ends all of it: so one task, one answer, then the process ends.

import { pathToFileURL } from 'node:url';
import type { WireFeeds } from '../protocol.ts';
import { type Executed, execute, type WebRuntime } from './execute.ts';
import type { WebTask } from './task.ts';

export interface WebChildTask {
  /** The file of onnxruntime-web to load. */
  readonly runtime: string;
  readonly task: WebTask;
  readonly feeds: readonly WireFeeds[];
}

export interface WebChildAnswer extends Partial<Executed> {
  readonly failure?: string;
}

async function perform({ runtime, task, feeds }: WebChildTask): Promise<WebChildAnswer> {
  try {
    const ort = (await import(pathToFileURL(runtime).href)) as WebRuntime;
    return await execute(ort, task, feeds);
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

// Ctrl-C reaches every process of the terminal: the parent decides, and ends this one.
process.on('SIGINT', () => {});

process.once('message', async (task: WebChildTask) => {
  const answer = await perform(task);
  // Threads of the runtime would keep the process alive.
  process.send?.(answer, undefined, undefined, () => process.exit(0));
});
