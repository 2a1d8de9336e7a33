// Tasks for a process of its own, and how to give one.

import { type ChildProcess, fork } from 'node:child_process';
import type { Library } from './libraries.ts';
import { type BuiltEntry, builtEntry } from './location.ts';
import type { Provider, SessionOptions } from './options.ts';
import type { WireFeeds } from './protocol.ts';

export interface ProbeTask {
  readonly task: 'probe';
  readonly provider: Provider;
  readonly device: number;
  /** For files that the trial writes. */
  readonly folder: string;
  readonly model: Uint8Array;
  readonly feeds: WireFeeds;
  readonly want: readonly string[];
}

export interface ProbeAnswer {
  readonly backends: readonly string[];
  readonly libraries: readonly Library[];
  /** Whether the binding knows the provider; unknown names it would run on the CPU in silence. */
  readonly known: boolean;
  readonly failure?: string;
  /** Execution providers that ran nodes. */
  readonly ran?: readonly string[];
  readonly results?: WireFeeds;
}

export interface UsageTask {
  readonly task: 'usage';
  readonly path: string;
  readonly options: SessionOptions;
  readonly feeds: WireFeeds;
  readonly runs: number;
}

export interface UsageAnswer {
  /** Peak resident memory: before loading, after loading, after the runs. */
  readonly idleBytes: number;
  readonly loadedBytes: number;
  readonly peakBytes: number;
  readonly loadMs: number;
  readonly firstRunMs: number;
}

export type ChildTask = ProbeTask | UsageTask;

export interface ChildAnswer {
  readonly probe?: ProbeAnswer;
  readonly usage?: UsageAnswer;
  readonly failure?: string;
}

const TIMEOUT_MS = 10 * 60_000;
/** Lines of native output kept for the message about a process that died. */
const KEPT_OUTPUT = 4000;

/** Runs a task in a fresh process. A process that dies gives a failure, never an exception. */
export function runInChild(task: ChildTask, timeoutMs = TIMEOUT_MS): Promise<ChildAnswer> {
  return askChild<ChildAnswer>('child', task, timeoutMs);
}

/** One task for a fresh process of a built entry, and its answer, or why there is none. */
export function askChild<Answer extends object>(
  entry: BuiltEntry,
  task: object,
  timeoutMs: number,
): Promise<Answer | { readonly failure: string }> {
  return new Promise((resolve) => {
    const child = fork(builtEntry(entry), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    });
    const output = collectOutput(child);
    const stop = () => child.kill('SIGKILL');
    const timer = setTimeout(stop, timeoutMs);
    process.once('exit', stop);
    let answer: Answer | undefined;
    child.once('message', (message) => {
      answer = message as Answer;
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      process.off('exit', stop);
      resolve(answer ?? { failure: died(code, signal, output()) });
    });
    child.once('error', (error) => resolve({ failure: error.message }));
    child.send(task);
  });
}

function collectOutput(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text = `${text}${chunk.toString()}`.slice(-KEPT_OUTPUT);
  });
  return () => text.trim();
}

function died(code: number | null, signal: string | null, output: string): string {
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const last = output.split('\n').findLast((line) => line.trim());
  return `the process that tried it ${how}${last ? `: ${last.trim()}` : ''}`;
}
