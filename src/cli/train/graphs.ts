// The graphs of a training run, made from the request: the step with its gradients, and the forward
// pass for validation, over the same weights. What changes the model for training (adapters, teachers,
// projections, half precision) is put in here, each where its order matters.

import { nothingTrainable, weightsAreIntegers } from '../../errors/train.ts';
import type { Model, Node, Value } from '../../graph/index.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { trainBatchNorms } from '../../train/batchnorm.ts';
import { normsAndHead } from '../../train/bottleneck.ts';
import { buildEvaluation, type EvaluationGraph } from '../../train/evaluation.ts';
import { roundBiases } from '../../train/fake-quantize.ts';
import { type Adapter, addAdapters, merged } from '../../train/lora.ts';
import type { Objective, TargetSpec } from '../../train/objectives/objective.ts';
import { openFused } from '../../train/open.ts';
import { decays } from '../../train/parameters.ts';
import type { TrainingGraph } from '../../train/plan.ts';
import { useHalf } from '../../train/precision.ts';
import { learnedScales } from '../../train/scales.ts';
import type { SparsitySchedule } from '../../train/sparsity.ts';
import { buildTraining } from '../../train/step.ts';
import { widened } from '../../train/wide.ts';
import { stateWeights } from './checkpoint.ts';
import { addedTo, chooseParameters, isNamed, plainModel } from './prepare.ts';
import type { Matched, TrainRequest } from './request.ts';
import { retaining } from './retain.ts';
import { type Lesson, teach } from './teachers.ts';

export interface TrainGraphs {
  /** The forward pass as training has it, with the names of the model. */
  readonly watched: Model;
  readonly training: TrainingGraph;
  readonly evaluation: EvaluationGraph | undefined;
  readonly targets: readonly TargetSpec[];
  readonly trained: readonly string[];
  readonly fixed: ReadonlyMap<string, string>;
  readonly matched: readonly Matched[];
  /** What teachers say ahead of time. */
  readonly lessons: readonly Lesson[];
  /** Weights of the model from the state: adapters merged, projections left out. */
  finish(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor>;
}

export async function makeGraphs(
  request: TrainRequest,
  sample: Feeds,
  sparsity: SparsitySchedule | undefined,
): Promise<TrainGraphs> {
  const { original, batch, objectiveSettings, optimization } = request;
  const forward = await plainModel(original, batch, sample);
  const added = addedTo(original, forward);
  const adapters = request.lora ? adapt(forward, request) : [];
  const inference = forward.clone();
  roundBiases(inference, request.qat?.fake.biases ?? []);
  const { trained, fixed } = chooseParameters(forward, request.freeze, added);
  openFused(forward);
  const own = chosen(forward, trained, adapters, request);
  if (own.length === 0) {
    const integers = integerMatrices(original);
    if (integers > 0) throw weightsAreIntegers(request.path, integers);
    const reasons = [...fixed].map(([value, why]) => `"${value.name}": ${why}`);
    throw nothingTrainable(request.path, reasons);
  }
  const scales = request.qat ? scalesOf(request, forward) : undefined;
  const isFrozen = (node: Node) => request.freeze.some((pattern) => pattern.matches(node));
  // Beside low-rank changes everything stays as it was.
  const buffers = request.lora ? [] : trainBatchNorms(forward, isFrozen);
  const watched = forward.clone();
  const taught = await teach(request, forward, sample);
  const objective = await retaining(request, forward, own, taught.objective, sample);
  const parameters = [...own, ...(scales?.keys() ?? []), ...taught.projections];
  // Looping the step renames them.
  const trainedNames = parameters.map(({ name }) => name);
  const projections = taught.projections.map(({ name }) => name);
  const ends = { inputs: forward.graph.inputs, outputs: forward.graph.outputs };
  const targets = objective.targets(ends, objectiveSettings);
  if (optimization.precision) {
    useHalf(forward, optimization.precision, request.session.provider === 'cuda');
  }
  const training = buildTraining({
    model: forward,
    parameters,
    buffers,
    objective,
    settings: objectiveSettings,
    optimizer: optimization.optimizer,
    optimizerSettings: optimization.settings,
    decay: (value) => (decays(value) ? optimization.decay : 0),
    clipNorm: optimization.clipNorm,
    clipValue: optimization.clipValue,
    accumulate: optimization.accumulate > 1 ? optimization.accumulate : undefined,
    adapts: optimization.adapts,
    samples: request.isPaired ? batch / 2 : batch,
    averaging: optimization.averaging,
    precision: optimization.precision,
    recompute: optimization.recompute,
    gradientBits: optimization.gradientBits,
    penalises: request.pruning !== undefined,
    scales,
    sparsity: sparsity && { rule: sparsity.rule, applies: decays },
  });
  return {
    watched,
    training,
    evaluation: await evaluationOf(
      request,
      inference,
      new Set(stateWeights(training).keys()),
      sample,
    ),
    targets,
    trained: trainedNames,
    fixed: new Map(
      [...fixed].flatMap(([value, why]) =>
        scales?.has(value) ? [] : [[value.name, why] as const],
      ),
    ),
    matched: taught.matched,
    lessons: taught.lessons,
    finish: (weights) => finished(request.original, weights, adapters, projections),
  };
}

const CODES = new Set(['int8', 'uint8', 'int4', 'uint4', 'int2', 'uint2']);

/** Weights of a quantised model. */
function integerMatrices({ graph }: Model): number {
  return [...graph.initializers].filter(
    ({ dtype = '', shape, uses }) =>
      CODES.has(dtype) && (shape ?? []).length > 1 && uses.length > 0,
  ).length;
}

function adapt(forward: Model, { lora, seed }: TrainRequest): Adapter[] {
  const patterns = lora?.targets ?? [];
  return addAdapters(forward, {
    rank: lora?.rank ?? 8,
    alpha: lora?.alpha ?? 16,
    seed,
    applies: (value) => patterns.length === 0 || patterns.some((one) => isNamed(value, one)),
  });
}

/** All that can be trained, or what adapters leave of it. */
function chosen(
  model: Model,
  trained: readonly Value[],
  adapters: readonly Adapter[],
  { lora, bottlenecks }: TrainRequest,
): readonly Value[] {
  if (!lora && !bottlenecks) return trained;
  const names = bottlenecks ?? new Set(adapters.flatMap(({ a, b }) => [a, b]));
  const others = bottlenecks ? normsAndHead(model) : new Set<Value>();
  return trained.filter((value) => names.has(value.name) || others.has(value));
}

/** Scales of fake quantisation, but for those that a pattern freezes. */
function scalesOf({ qat, freeze }: TrainRequest, forward: Model): Map<Value, number> {
  const ofWeights = new Set(qat?.fake.weights.map(({ scale }) => scale));
  const found = learnedScales(forward, ofWeights);
  for (const value of found.keys()) {
    if (freeze.some((pattern) => isNamed(value, pattern))) found.delete(value);
  }
  return found;
}

/** Validation of a model by itself. */
export async function evaluationOfWritten(
  request: TrainRequest,
  model: Model,
  sample: Feeds,
): Promise<EvaluationGraph | undefined> {
  return evaluationOf(request, await plainModel(model, request.batch, sample), new Set(), sample);
}

/** Judged by labels where there are some, else by what teachers say; `names`: weights that are fed. */
async function evaluationOf(
  request: TrainRequest,
  inference: Model,
  names: ReadonlySet<string>,
  sample: Feeds,
): Promise<EvaluationGraph | undefined> {
  if (!request.validation) return undefined;
  const weights = [...inference.graph.initializers].filter(({ name }) => names.has(name));
  const { teaching } = request;
  // What lies inside is compared through projections that validation does not have.
  const judge = teaching && ({ ...teaching, cache: undefined, method: 'logits' } as const);
  const alone = { ...request, teaching: judge };
  const { objective } = request.objective ? request : await teach(alone, inference, sample);
  return buildEvaluation({
    model: inference,
    weights,
    objective: objective as Objective,
    settings: { ...request.objectiveSettings, labelSmoothing: 0 },
  });
}

function finished(
  original: Model,
  weights: ReadonlyMap<string, Tensor>,
  adapters: readonly Adapter[],
  projections: readonly string[],
): Map<string, Tensor> {
  const left = new Map(weights);
  for (const name of projections) left.delete(name);
  const initial = new Map([...original.graph.initializers].map((v) => [v.name, v.data]));
  for (const { weight, a, b, scale } of adapters) {
    const [own, x, y] = [initial.get(weight), left.get(a), left.get(b)];
    if (own && x && y) left.set(weight, merged(widened(own), x, y, scale));
    left.delete(a);
    left.delete(b);
  }
  return left;
}
