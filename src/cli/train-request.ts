// What a training run is asked for, and what it answers.

import type { Dataset } from '../data/dataset.ts';
import type { Model } from '../graph/index.ts';
import type { Pattern } from '../passes/select.ts';
import type { SessionOptions } from '../runtime/options.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { FeatureLossName } from '../train/distillation.ts';
import type { Masking } from '../train/masking.ts';
import type { LayerMap } from '../train/matching.ts';
import type { Objective, ObjectiveSettings } from '../train/objectives/objective.ts';
import type { RateRange } from '../train/rate-range.ts';
import type { Position, Progress } from '../train/trainer.ts';
import type { OptimizationSettings } from './train-settings.ts';

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
  /** Names of the weights of bottleneck adapters: beside them norms and the head are trained. */
  readonly bottlenecks?: ReadonlySet<string> | undefined;
  readonly teaching?: Teaching | undefined;
  /** Weights that a penalty makes zero. */
  readonly pruning?: PenaltyChoice | undefined;
  readonly seed: number;
  readonly session: SessionOptions;
  /** Told of what was made, before the first step. */
  onStart?(facts: RunFacts): void;
  onProgress?(progress: Progress): void;
  onEvaluation?(evaluation: Evaluation): void;
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

export interface Teaching {
  readonly teachers: readonly {
    readonly model: Model;
    readonly path: string;
    readonly weight: number;
  }[];
  readonly method: 'logits' | 'feature' | 'attention';
  readonly soft: 'kl' | 'mse';
  readonly alpha: number;
  readonly temperature: number;
  readonly matches: readonly (readonly [student: string, teacher: string])[];
  readonly layerMap: LayerMap;
  readonly featureLoss: FeatureLossName;
  readonly featureWeight: number;
}

export interface RunFacts {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly firstStep: number;
  readonly trained: readonly string[];
  readonly fixed: ReadonlyMap<string, string>;
  /** Inner tensors that are held against each other, as `student=teacher`. */
  readonly matched: readonly string[];
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
  /** Low-rank changes by name, before they were merged. */
  readonly adapters: ReadonlyMap<string, Tensor>;
  /** What is zero and can be cut, by weight, where pruning of units is over. */
  readonly penalties?: ReadonlyMap<string, Tensor> | undefined;
  readonly evaluations: readonly Evaluation[];
  readonly position: Position;
  readonly isStopped: boolean;
}
