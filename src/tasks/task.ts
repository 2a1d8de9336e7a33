// What it takes to judge models on a kind of work: how outputs and targets are understood, which
// metrics follow. A new task is a file and a row in index.ts.

import type { Batch, Dataset } from '../data/dataset.ts';
import type { Model } from '../graph/index.ts';
import type { Evaluation } from '../metrics/evaluation.ts';
import type { Feeds } from '../tensor/feeds.ts';

export type Run = (feeds: Feeds) => Promise<Feeds>;

/** Takes in what one model does, batch by batch. */
export interface Collector {
  add(batch: Batch, run: Run): Promise<void>;
  finish(): Evaluation;
}

export interface TaskOptions {
  /** The output that is judged; undefined: found by its type and shape. */
  readonly output?: string | undefined;
  /** Of top-k accuracy, recall@k and the like, beside the usual ones. */
  readonly topK: number;
  /** Detectors: how outputs become boxes; undefined: recognised. */
  readonly decode?: string | undefined;
  /** Detectors: boxes below this score are left out. */
  readonly minScore: number;
  /** Detectors: boxes of a class that overlap more are one. */
  readonly nms: number;
  /** Forecasts: steps of one season, for MASE. */
  readonly season: number;
  /** Translation: beams of the search; 1 is greedy. */
  readonly beams: number;
  /** Translation: tokens that a text has at most. */
  readonly maxTokens: number;
  /** Texts of token ids. */
  readonly detokenize?: ((ids: readonly number[]) => string) | undefined;
}

export interface TaskInput {
  readonly model: Model;
  readonly dataset: Dataset;
  readonly options: TaskOptions;
}

export interface Task {
  readonly name: string;
  /** The metric that --max-drop is about, the first of the table. */
  readonly main: string;
  /** Metrics of the table for people, in order; the report has all. */
  readonly shown: readonly string[];
  collector(input: TaskInput): Collector;
}
