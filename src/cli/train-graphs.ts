// The graphs of a training run, made from the request: the step with its gradients, and the forward
// pass for validation, over the same weights. What changes the model for training (adapters, teachers,
// projections, half precision) is put in here, each where its order matters.

import { nothingToMatch, nothingTrainable, teacherDoesNotFit } from '../errors/train.ts';
import { type Model, type Node, printShape, type Value } from '../graph/index.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { trainBatchNorms } from '../train/batchnorm.ts';
import { normsAndHead } from '../train/bottleneck.ts';
import { distilled, project } from '../train/distill.ts';
import { buildEvaluation, type EvaluationGraph } from '../train/evaluation.ts';
import { graft, TEACHER } from '../train/graft.ts';
import { type Adapter, addAdapters, merged } from '../train/lora.ts';
import { attentionMatches, type Match, namedMatches, stageMatches } from '../train/matching.ts';
import type { Objective, TargetSpec } from '../train/objectives/objective.ts';
import { decays } from '../train/parameters.ts';
import type { TrainingGraph } from '../train/plan.ts';
import { useHalf } from '../train/precision.ts';
import type { SparsitySchedule } from '../train/sparsity.ts';
import { buildTraining } from '../train/step.ts';
import { unrollRecurrent } from '../train/unroll.ts';
import { stateWeights } from './train-checkpoint.ts';
import { chooseParameters, isNamed, plainModel } from './train-prepare.ts';
import type { Teaching, TrainRequest } from './train-request.ts';

export interface TrainGraphs {
  /** The forward pass that both are made of. */
  readonly plain: Model;
  readonly training: TrainingGraph;
  readonly evaluation: EvaluationGraph | undefined;
  readonly targets: readonly TargetSpec[];
  readonly trained: readonly string[];
  readonly fixed: ReadonlyMap<string, string>;
  readonly matched: readonly string[];
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
  const adapters = request.lora ? adapt(forward, request) : [];
  const [plain, inference] = [forward.clone(), forward.clone()];
  const { trained, fixed } = chooseParameters(forward, request.freeze);
  unrollRecurrent(forward);
  const own = chosen(forward, trained, adapters, request);
  if (own.length === 0) {
    const reasons = [...fixed].map(([value, why]) => `"${value.name}": ${why}`);
    throw nothingTrainable(request.path, reasons);
  }
  const isFrozen = (node: Node) => request.freeze.some((pattern) => pattern.matches(node));
  // Beside low-rank changes everything stays as it was.
  const buffers = request.lora ? [] : trainBatchNorms(forward, isFrozen);
  const taught = await teach(request, forward, sample);
  const parameters = [...own, ...taught.projections];
  // Looping the step renames them.
  const trainedNames = parameters.map(({ name }) => name);
  const projections = taught.projections.map(({ name }) => name);
  const ends = { inputs: forward.graph.inputs, outputs: forward.graph.outputs };
  const targets = taught.objective.targets(ends, objectiveSettings);
  if (optimization.precision) {
    useHalf(forward, optimization.precision, request.session.provider === 'cuda');
  }
  const training = buildTraining({
    model: forward,
    parameters,
    buffers,
    objective: taught.objective,
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
    gradientBits: optimization.gradientBits,
    penalises: request.pruning !== undefined,
    sparsity: sparsity && { rule: sparsity.rule, applies: decays },
  });
  return {
    plain,
    training,
    evaluation: await evaluationOf(request, inference, training, sample),
    targets,
    trained: trainedNames,
    fixed: new Map([...fixed].map(([value, why]) => [value.name, why])),
    matched: taught.matched,
    finish: (weights) => finished(request.original, weights, adapters, projections),
  };
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

interface Taught {
  readonly objective: Objective;
  readonly projections: readonly Value[];
  readonly matched: readonly string[];
}

/** The objective of the request, with teachers put into the graph where there are some. */
async function teach(request: TrainRequest, model: Model, sample: Feeds): Promise<Taught> {
  const { objective, teaching, batch } = request;
  if (!teaching) {
    if (!objective) throw new Error('neither an objective nor a teacher');
    return { objective, projections: [], matched: [] };
  }
  const found: Match[] = [];
  const teachers: { output: Value; weight: number }[] = [];
  const sum = teaching.teachers.reduce((total, { weight }) => total + weight, 0);
  for (const [i, teacher] of teaching.teachers.entries()) {
    const plain = await plainModel(teacher.model, batch, sample);
    checkTeacher(teacher.path, model, plain);
    if (teaching.method !== 'logits') found.push(...matchesOf(teaching, model, plain));
    const [output] = graft(model, plain, `${TEACHER}${i}/`);
    teachers.push({ output: output as Value, weight: teacher.weight / sum });
  }
  if (teaching.method !== 'logits' && found.length === 0) throw nothingToMatch(teaching.method);
  const matched = found.map(({ student, teacher }) => `${student.name}=${teacher.name}`);
  const { matches, projections } = project(model, found, teaching.featureLoss, request.seed);
  const { alpha, temperature, soft, featureLoss, featureWeight } = teaching;
  return {
    objective: distilled({
      hard: objective,
      teachers,
      alpha,
      temperature,
      soft,
      features: matches,
      featureLoss,
      featureWeight,
    }),
    projections,
    matched,
  };
}

function matchesOf(teaching: Teaching, student: Model, teacher: Model): Match[] {
  if (teaching.matches.length > 0) return namedMatches(student, teacher, teaching.matches);
  const stages = () => stageMatches(student, teacher, teaching.layerMap);
  if (teaching.method === 'feature') return stages();
  const sameShape = ({ student: s, teacher: t }: Match) => `${s.shape}` === `${t.shape}`;
  const maps = attentionMatches(student, teacher, teaching.layerMap).filter(sameShape);
  return [...maps, ...stages()];
}

function checkTeacher(path: string, student: Model, teacher: Model): void {
  const [ours, theirs] = [student.graph.outputs[0], teacher.graph.outputs[0]];
  if (`${ours?.shape}` === `${theirs?.shape}`) return;
  throw teacherDoesNotFit(path, printShape(ours?.shape), printShape(theirs?.shape));
}

/** Judged by labels where there are some, else by the teachers. */
async function evaluationOf(
  request: TrainRequest,
  inference: Model,
  training: TrainingGraph,
  sample: Feeds,
): Promise<EvaluationGraph | undefined> {
  if (!request.validation) return undefined;
  const names = new Set(stateWeights(training).keys());
  const weights = [...inference.graph.initializers].filter(({ name }) => names.has(name));
  const alone = { ...request, objective: undefined };
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
    if (own && x && y) left.set(weight, merged(own, x, y, scale));
    left.delete(a);
    left.delete(b);
  }
  return left;
}
