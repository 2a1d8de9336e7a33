// What it takes to judge models on a kind of work: how outputs and targets are understood, which
// metrics follow. A new task is a file and a row in index.ts.

import type { Batch, Dataset, InputSpec } from '../data/dataset.ts';
import type { DataOptions } from '../data/options.ts';
import type { Model } from '../graph/index.ts';
import type { HeadName } from '../metrics/detection/decode.ts';
import type { Evaluation } from '../metrics/evaluation.ts';
import type { Feeds } from '../tensor/feeds.ts';

export type Run = (feeds: Feeds) => Promise<Feeds>;

/** Takes in what one model does, batch by batch. */
export interface Collector {
  add(batch: Batch, run: Run): Promise<void>;
  finish(): Evaluation;
  /** What the model wrote or answered, sample by sample. */
  readonly texts?: readonly string[];
}

/** What a task takes from the data. */
export interface TaskData {
  /** Inputs that the data fills; others are the task's matter. */
  readonly inputs: readonly InputSpec[];
  readonly options: DataOptions;
  /** How a run of the whole model is fed, to time it; absent where data alone cannot. */
  readonly timed?: DataOptions | undefined;
}

export interface TaskOptions {
  /** The output that is judged; undefined: found by its type and shape. */
  readonly output?: string | undefined;
  /** Of top-k accuracy, recall@k and the like, beside the usual ones. */
  readonly topK: number;
  /** Detectors: how outputs become boxes; undefined: recognised. */
  readonly decode?: HeadName | undefined;
  /** Detectors: boxes below this score are left out. */
  readonly minScore: number;
  /** Detectors: boxes of a class that overlap more are one. */
  readonly nms: number;
  /** Forecasts: steps of one season, for MASE. */
  readonly season: number;
  /** Writing: beams of the search; 1 is greedy. */
  readonly beams: number;
  /** Writing: tokens that a text has at most; undefined: as many as the source can have. */
  readonly maxTokens?: number | undefined;
  /** Writing: the token that texts begin with; undefined: the tokenizer's own. */
  readonly startToken?: number | undefined;
}

export interface TaskInput {
  /** What is run; without its encoder, where that is apart. */
  readonly model: Model;
  /** Runs the half of an encoder-decoder model that reads. */
  readonly encoder?: Run | undefined;
  readonly dataset: Dataset;
  readonly options: TaskOptions;
}

export interface Task {
  readonly name: string;
  /** The metric that --max-drop is about, the first of the table. */
  readonly main: string;
  /** Metrics of the table for people, in order; the report has all. */
  readonly shown: readonly string[];
  /** Absent: all inputs are filled, by the options as they are. */
  data?(inputs: readonly InputSpec[], options: DataOptions, hasEncoder: boolean): TaskData;
  collector(input: TaskInput): Collector;
}
