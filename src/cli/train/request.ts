// What a training run is asked for, and what it answers.

import type { Dataset } from '../../data/dataset.ts';
import type { Model } from '../../graph/index.ts';
import type { Pattern } from '../../passes/select.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { FeatureLossName } from '../../train/distillation.ts';
import type { Masking } from '../../train/masking.ts';
import type { AttentionPart, LayerMap } from '../../train/matching.ts';
import type { Objective, ObjectiveSettings } from '../../train/objectives/objective.ts';
import type { RateRange } from '../../train/rate-range.ts';
import type { Course } from '../../train/schedule.ts';
import type { Position, Progress } from '../../train/trainer.ts';
import type { Decision } from '../quantize/quantizer.ts';
import type { HalfPrecision } from './half.ts';
import type { Qat } from './qat.ts';
import type { OptimizationSettings } from './settings.ts';

export interface TrainRequest {
  readonly original: Model;
  readonly path: string;
  readonly batch: number;
  readonly data: Dataset;
  readonly validation?: Dataset | undefined;
  /** Absent where a student learns from its teachers alone. */
  readonly objective?: Objective | undefined;
  readonly objectiveSettings: ObjectiveSettings;
  readonly isPaired: boolean;
  readonly masking?: Masking | undefined;
  readonly optimization: OptimizationSettings;
  steps(stepsPerEpoch: number): number;
  readonly evaluateEvery?: number | undefined;
  readonly checkpointEvery?: number | undefined;
  readonly patience?: number | undefined;
  readonly keep: 'last' | 'best';
  readonly checkpoint?: string | undefined;
  readonly resume: boolean;
  readonly freeze: readonly Pattern[];
  readonly lora?: LoraRequest | undefined;
  readonly replay?: ReplayRequest | undefined;
  readonly retention?: Retention | undefined;
  /** Its twin is the model to train. */
  readonly qat?: Qat | undefined;
  /** Names of the weights of bottleneck adapters: beside them norms and the head are trained. */
  readonly bottlenecks?: ReadonlySet<string> | undefined;
  readonly teaching?: Teaching | undefined;
  /** Weights that a penalty makes zero. */
  readonly pruning?: PenaltyChoice | undefined;
  /** The model is written in it. */
  readonly keepHalf?: HalfPrecision | undefined;
  readonly seed: number;
  readonly session: SessionOptions;
  /** Told of what was made, before the first step. */
  onStart?(facts: RunFacts): void;
  onProgress?(progress: Progress): void;
  onEvaluation?(evaluation: Evaluation): void;
  /** Weights by name, as often as there are checkpoints. */
  onWeights?: ((step: number, weights: ReadonlyMap<string, Tensor>) => void) | undefined;
  isStopped?(): boolean;
}

export interface PenaltyChoice {
  /** Ones at what is to go, by weight, in its shape; `share`: of what can be chosen. */
  choose(weights: ReadonlyMap<string, Tensor>, share: number): Promise<ReadonlyMap<string, Tensor>>;
}

export interface LoraRequest {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly Pattern[];
}

/** Older data in every batch. */
export interface ReplayRequest {
  readonly data: Dataset;
  /** Of the samples of a batch. */
  readonly share: number;
  /** Samples of it that are kept, as many of each class; all where it is absent. */
  readonly limit?: number | undefined;
}

/** What stays as it was before training. */
export interface Retention {
  /** The model with the classes it had. */
  readonly before: Model;
  /** Its last weights were replaced, and are not to stay what they were. */
  readonly hasNewHead: boolean;
  readonly ewc?: { readonly data: Dataset; readonly weight: number };
  readonly lwf?: {
    readonly weight: number;
    readonly soft: 'kl' | 'mse';
    /** New classes compete with each other alone: no sample of the run shows an old one. */
    readonly isAmongNew: boolean;
  };
}

export interface Teaching {
  readonly teachers: readonly {
    readonly model: Model;
    readonly path: string;
    readonly weight: number;
  }[];
  readonly method: 'logits' | 'feature' | 'attention';
  /** Absent: what the outputs are. */
  readonly soft: 'kl' | 'mse' | undefined;
  readonly alpha: Course;
  readonly temperature: Course;
  readonly matches: readonly (readonly [student: string, teacher: string])[];
  readonly layerMap: LayerMap;
  /** What method attention compares; all where it is absent. */
  readonly attention?: readonly AttentionPart[] | undefined;
  readonly featureLoss: FeatureLossName;
  readonly featureWeight: Course;
  /** Set: teachers are asked beforehand, and what they said is kept there. */
  readonly cache?: TeacherCacheOptions | undefined;
}

export interface TeacherCacheOptions {
  readonly folder: string;
  /** All that decides which samples there are, and in which order. */
  readonly data: string;
  /** Samples are changed at random, anew in each epoch. */
  readonly isAugmented: boolean;
  /** Bytes. */
  readonly limit: number;
  say(text: string): void;
}

/** Inner tensors that are held against each other. */
export interface Matched {
  readonly student: string;
  readonly studentShape: string;
  readonly teacher: string;
  readonly teacherShape: string;
  /** The loss between them. */
  readonly by: string;
  /** A learned projection stands before it. */
  readonly isProjected: boolean;
}

export interface RunFacts {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** Of a step. */
  readonly samples: number;
  readonly firstStep: number;
  readonly trained: readonly string[];
  readonly fixed: ReadonlyMap<string, string>;
  readonly matched: readonly Matched[];
  readonly nodes: number;
  readonly buildMs: number;
  readonly loadMs: number;
  /** The test that the rate comes from. */
  readonly rateRange?: RateRange | undefined;
}

export interface Evaluation {
  readonly step: number;
  readonly metrics: ReadonlyMap<string, number>;
}

export interface TrainResult {
  /** Trained tensors by the names they have in the model. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** As it is to be written. */
  readonly model: Model;
  /** What became of its layers, where they are not what was trained. */
  readonly decisions: readonly Decision[];
  /** Metrics of the written model, where its precision is another and there is data to validate on. */
  readonly written?: ReadonlyMap<string, number> | undefined;
  /** Low-rank changes by name, before they were merged. */
  readonly adapters: ReadonlyMap<string, Tensor>;
  /** What is zero and can be cut, by weight, where pruning of units is over. */
  readonly penalties?: ReadonlyMap<string, Tensor> | undefined;
  readonly evaluations: readonly Evaluation[];
  readonly position: Position;
  readonly isStopped: boolean;
}
