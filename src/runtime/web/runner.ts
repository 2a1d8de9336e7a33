// Running model files in onnxruntime-web: what it is asked for and what comes back, wherever it runs.

import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { webRefused, webStopped } from '../../errors/web.ts';
import { dataFilesOf } from '../../onnx/index.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cleanMessage } from '../clean-message.ts';
import { fromWire, toWire, type WireFeeds } from '../protocol.ts';
import { median } from '../statistics.ts';
import type { Executed } from './execute.ts';
import type { WebDataFile, WebProvider, WebTask } from './task.ts';

export const WEB_RUNNERS = ['wasm (node)', 'wasm (chromium)', 'webgpu (chromium)'] as const;
export type WebRunnerName = (typeof WEB_RUNNERS)[number];

export interface WebRunOptions {
  /** Counted runs after the first one; default 5. */
  readonly runs?: number | undefined;
  /** Milliseconds for them, all models together; default 3000. One run each always counts. */
  readonly budgetMs?: number | undefined;
  /** Default 1: pages get more only where the server isolates them. */
  readonly threads?: number | undefined;
  /** Milliseconds after which the runtime is given up; default ten minutes. */
  readonly timeoutMs?: number | undefined;
}

export interface WebItem {
  /** The model's file; external data is found beside it. */
  readonly path: string;
  readonly feeds: Feeds;
}

export interface WebResult {
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** Fetching or reading, compiling, optimising: until the session is there. */
  readonly loadMs: number;
  readonly medianMs: number;
  /** Milliseconds of each counted run; position i of all models was measured together. */
  readonly samples: readonly number[];
}

export interface WebRunner {
  readonly name: WebRunnerName;
  readonly provider: WebProvider;
  /** The version of onnxruntime-web. */
  readonly version: string;
  /** Computes float16; without it models in half precision do not load in WebGPU. */
  readonly hasHalf: boolean;
  /** What computes, where it is software that stands in for a device: times mean nothing then. */
  readonly software?: string;
  /** Loads and runs one file; throws what the runtime refuses. */
  run(path: string, feeds: Feeds, options?: WebRunOptions): Promise<WebResult>;
  /** Several in one process, timed in turn, A B A B; an error stands in for a result. */
  runInTurn(
    items: readonly WebItem[],
    options?: WebRunOptions,
  ): Promise<readonly (WebResult | Error)[]>;
  /** Ends what it has started. */
  close(): Promise<void>;
}

/** One way of getting a task carried out. */
export interface Carrier {
  carryOut(
    task: WebTask,
    feeds: readonly WireFeeds[],
    timeoutMs: number,
  ): Promise<Executed & { readonly problem?: string }>;
  close(): Promise<void>;
}

const RUNS = 5;
const BUDGET_MS = 3000;
const TIMEOUT_MS = 10 * 60_000;

export interface Description {
  readonly name: WebRunnerName;
  readonly provider: WebProvider;
  readonly version: string;
  readonly hasHalf: boolean;
  readonly software?: string;
}

/** A runner over a carrier. */
export class CarriedRunner implements WebRunner {
  readonly name: WebRunnerName;
  readonly provider: WebProvider;
  readonly version: string;
  readonly hasHalf: boolean;
  readonly software?: string;
  readonly #carrier: Carrier;

  constructor(description: Description, carrier: Carrier) {
    this.name = description.name;
    this.provider = description.provider;
    this.version = description.version;
    this.hasHalf = description.hasHalf;
    if (description.software) this.software = description.software;
    this.#carrier = carrier;
  }

  async run(path: string, feeds: Feeds, options: WebRunOptions = {}): Promise<WebResult> {
    const [result] = await this.runInTurn([{ path, feeds }], options);
    if (!result || result instanceof Error) throw result;
    return result;
  }

  async runInTurn(items: readonly WebItem[], options: WebRunOptions = {}) {
    const task: WebTask = {
      provider: this.provider,
      threads: options.threads ?? 1,
      models: items.map(({ path }) => ({ source: resolve(path), externalData: dataBeside(path) })),
      runs: options.runs ?? RUNS,
      budgetMs: options.budgetMs ?? BUDGET_MS,
    };
    const feeds = await Promise.all(items.map((item) => toWire(item.feeds)));
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const { answers, outputs, problem } = await this.#carrier.carryOut(task, feeds, timeoutMs);
    return items.map(({ path }, i): WebResult | Error => {
      const answer = answers[i];
      if (!answer) return webStopped(this.name, problem ?? 'it gave no answer', path);
      if (answer.failure) {
        const { doing, message } = answer.failure;
        const { message: cleaned, node } = cleanMessage(withoutCodes(message));
        return webRefused(this.name, doing, cleaned, { model: path, node });
      }
      const { loadMs, samples } = answer;
      return {
        outputs: fromWire(outputs[i] ?? []),
        loadMs,
        samples,
        medianMs: samples.length > 0 ? median(samples) : Number.NaN,
      };
    });
  }

  close(): Promise<void> {
    return this.#carrier.close();
  }
}

/** Names of external data as the model says them, which is how onnxruntime-web asks for them. */
function dataBeside(path: string): WebDataFile[] {
  // Says "no such file" in the system's own words.
  statSync(path);
  return [...dataFilesOf(path)].map((name) => ({ path: name, data: resolve(dirname(path), name) }));
}

/** "Can't create a session. ERROR_CODE: 9, ERROR_MESSAGE: Could not find …" → "Could not find …". */
function withoutCodes(message: string): string {
  return message
    .replace(/^.*?ERROR_MESSAGE:\s*"?/s, '')
    .replace(/"$/, '')
    .replace(/^Error:\s*/, '');
}
