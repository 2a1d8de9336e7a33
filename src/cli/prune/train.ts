// Training between the steps of pruning: what is left learns from the model as it was (its outputs as a
// teacher's, and labels where the data has them). Weights that a method set to zero stay zero.

import type { Dataset } from '../../data/dataset.ts';
import type { Model } from '../../graph/index.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { OBJECTIVES } from '../../train/objectives/index.ts';
import { constant } from '../../train/schedule.ts';
import { computeWeights } from '../models.ts';
import { TrainLog } from '../train/log.ts';
import { inferObjective } from '../train/objective.ts';
import type { Teaching, TrainRequest } from '../train/request.ts';
import { runTraining } from '../train/run.ts';
import {
  objectiveSettings,
  optimizationSettings,
  type TrainFlagValues,
  totalSteps,
} from '../train/settings.ts';
import { putWeights } from '../train/weights.ts';
import type { Pruned, Pruner } from './plan.ts';

export interface HealOptions {
  readonly path: string;
  /** The teacher. */
  readonly original: Model;
  readonly data: Dataset;
  readonly batch: number;
  /** After each step. */
  readonly epochs: string;
  readonly lr?: string | undefined;
  readonly seed: number;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
}

/** The defaults of `train`. */
const DEFAULTS: TrainFlagValues = {
  distance: 'mse',
  optimizer: 'adamw',
  schedule: 'cosine',
  accumulate: 1,
  precision: 'fp32',
};
/** Those of `distill`. */
const ALPHA = 0.9;
const TEMPERATURE = 4;

/** The pruner, and training of what it makes. */
export function healing(pruner: Pruner, options: HealOptions): Pruner {
  return async (model, ask) => heal(await pruner(model, ask), options);
}

async function heal(pruned: Pruned, options: HealOptions): Promise<Pruned> {
  const { reporter, data } = options;
  const sample = await data.take?.([0]);
  const hasLabels = sample !== undefined && sample.targets.size > 0;
  const objective = hasLabels ? inferObjective(options.original, sample) : undefined;
  const log = new TrainLog({ reporter });
  const isSparse = pruned.parts.some(({ kind }) => kind === 'weights');
  const model = await computeWeights(pruned.model);
  const { weights } = await runTraining({
    ...requestOf(model, options),
    objective: objective && OBJECTIVES[objective],
    teaching: teacher(options, objective === undefined || objective === 'regress' ? 'mse' : 'kl'),
    ...(isSparse ? { pruning: { choose: async (own) => zerosOf(own) } } : {}),
    onStart: (facts) => log.start(facts),
    onProgress: (progress) => log.progress(progress),
  });
  const loss = log.last?.means.get('loss')?.toPrecision(3);
  const how = objective ? `the original and labels (${objective})` : 'the original';
  const training = `${options.epochs} epochs on ${how}: loss ${loss}`;
  return { ...pruned, model: putWeights(model, weights), training };
}

function requestOf(original: Model, options: HealOptions): TrainRequest {
  const { path, data, batch, epochs, lr, seed, session } = options;
  const flags = { ...DEFAULTS, epochs, lr };
  const optimization = optimizationSettings(flags);
  return {
    original,
    path,
    data,
    batch,
    seed,
    session,
    objectiveSettings: objectiveSettings(flags),
    isPaired: false,
    // What is zero by now stays so: all of the penalty from the first update on.
    optimization: { ...optimization, penalty: () => ({ final: 0, begin: 0, end: 0 }) },
    steps: (perEpoch) => totalSteps(flags, perEpoch),
    keep: 'last',
    resume: false,
    freeze: [],
  };
}

function teacher({ original, path }: HealOptions, soft: Teaching['soft']): Teaching {
  return {
    teachers: [{ model: original, path, weight: 1 }],
    method: 'logits',
    soft,
    alpha: constant(ALPHA),
    temperature: constant(TEMPERATURE),
    matches: [],
    layerMap: 'uniform',
    featureLoss: 'mse',
    featureWeight: constant(0),
  };
}

/** Ones where a matrix is zero. */
function zerosOf(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const matrices = [...weights].filter(([, { shape }]) => shape.length > 1);
  return new Map(
    matrices.map(([name, tensor]) => {
      const zeros = Float32Array.from(tensor.values() as Float32Array, (w) => +(w === 0));
      return [name, Tensor.of('float32', tensor.shape, zeros)];
    }),
  );
}
