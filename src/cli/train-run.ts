// A training run from data to trained weights: opens the sessions, feeds the trainer, validates,
// writes checkpoints, tells how it goes.

import type { Dataset } from '../data/dataset.ts';
import { badCheckpoint, batchTooLarge, dataHasNoOrder, nothingTrainable } from '../errors/train.ts';
import type { Model } from '../graph/index.ts';
import type { Pattern } from '../passes/select.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { type LoadedModel, loadModel } from '../runtime/runner.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import { readCheckpoint, writeCheckpoint } from '../train/checkpoint.ts';
import { buildEvaluation, type EvaluationGraph } from '../train/evaluation.ts';
import { Feeder } from '../train/feeder.ts';
import { STEPS } from '../train/loop.ts';
import type { Masking } from '../train/masking.ts';
import type { Objective, ObjectiveSettings } from '../train/objectives/objective.ts';
import { decays } from '../train/parameters.ts';
import type { TrainingGraph } from '../train/plan.ts';
import { useHalf } from '../train/precision.ts';
import { Sampler } from '../train/sampler.ts';
import { rateAt } from '../train/schedule.ts';
import { buildTraining } from '../train/step.ts';
import {
  initialState,
  type Position,
  type Progress,
  START,
  type State,
  train,
} from '../train/trainer.ts';
import { chooseParameters, plainModel } from './train-prepare.ts';
import type { OptimizationSettings } from './train-settings.ts';
import { Watch } from './train-watch.ts';

export interface TrainRequest {
  readonly original: Model;
  readonly path: string;
  readonly batch: number;
  readonly data: Dataset;
  readonly validation?: Dataset | undefined;
  readonly objective: Objective;
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
  readonly seed: number;
  readonly session: SessionOptions;
  /** Told of what was made, before the first step. */
  onStart?(facts: RunFacts): void;
  onProgress?(progress: Progress): void;
  onEvaluation?(evaluation: Evaluation): void;
  isStopped?(): boolean;
}

export interface RunFacts {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly firstStep: number;
  readonly trained: readonly string[];
  readonly fixed: ReadonlyMap<string, string>;
  readonly nodes: number;
  readonly buildMs: number;
  readonly loadMs: number;
}

export interface Evaluation {
  readonly step: number;
  readonly metrics: ReadonlyMap<string, number>;
}

export interface TrainResult {
  /** Trained tensors by the names they have in the model. */
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly evaluations: readonly Evaluation[];
  readonly position: Position;
  readonly isStopped: boolean;
}

const EVALUATION_BYTES = 32 << 20;

export async function runTraining(request: TrainRequest): Promise<TrainResult> {
  const { data, batch, isPaired, original, path, seed } = request;
  if (!data.take || data.length === undefined) throw dataHasNoOrder(data.summary);
  const rows = isPaired ? batch / 2 : batch;
  if (data.length < rows) throw batchTooLarge(rows, data.length);
  const started = performance.now();
  const { feeds: sample } = await data.take([0]);
  const forward = await plainModel(original, batch, sample);
  const inference = forward.clone();
  const { trained, fixed } = chooseParameters(forward, request.freeze);
  if (trained.length === 0) {
    throw nothingTrainable(
      path,
      [...fixed].map(([value, why]) => `"${value.name}": ${why}`),
    );
  }
  const { optimization, objective, objectiveSettings } = request;
  const ends = { inputs: forward.graph.inputs, outputs: forward.graph.outputs };
  const targets = objective.targets(ends, objectiveSettings);
  const sampler = new Sampler(data.length, rows, seed);
  const steps = request.steps(sampler.stepsPerEpoch);
  const sparsity = optimization.sparsity(Math.floor(steps / optimization.accumulate));
  if (optimization.precision) {
    useHalf(forward, optimization.precision, request.session.provider === 'cuda');
  }
  const graph = buildTraining({
    model: forward,
    precision: optimization.precision,
    gradientBits: optimization.gradientBits,
    sparsity: sparsity && { rule: sparsity.rule, applies: decays },
    parameters: trained,
    buffers: [],
    objective,
    settings: objectiveSettings,
    optimizer: optimization.optimizer,
    optimizerSettings: optimization.settings,
    decay: (value) => (decays(value) ? optimization.decay : 0),
    clipNorm: optimization.clipNorm,
    clipValue: optimization.clipValue,
    accumulate: optimization.accumulate > 1 ? optimization.accumulate : undefined,
    averaging: optimization.averaging,
  });
  const buildMs = performance.now() - started;
  const session = await loadModel(graph.model, { ...request.session, optimization: 'all' });
  const feeder = (dataset: Dataset, inputs: TrainingGraph['data']) =>
    new Feeder({
      dataset: dataset as Required<Dataset>,
      inputs,
      targets,
      seed,
      isPaired,
      masking: request.masking,
    });
  const judge = await openJudge(request, inference, graph, feeder);
  try {
    const watch = new Watch(request, judge?.evaluate.bind(judge));
    const start = request.resume ? resumed(request, graph, watch) : fresh(graph);
    request.onStart?.({
      steps,
      stepsPerEpoch: sampler.stepsPerEpoch,
      firstStep: start.position.step,
      trained: trained.map(({ name }) => name),
      fixed: new Map([...fixed].map(([value, why]) => [value.name, why])),
      nodes: graph.model.graph.nodeCount,
      buildMs,
      loadMs: session.loadMs,
    });
    const source = feeder(data, graph.data);
    const done = await train(
      {
        graph,
        steps,
        stepsPerEpoch: sampler.stepsPerEpoch,
        accumulate: optimization.accumulate,
        rate: rateOf(optimization, steps),
        sparsity,
        evaluateEvery: request.evaluateEvery ?? sampler.stepsPerEpoch,
        checkpointEvery: request.checkpointEvery ?? sampler.stepsPerEpoch,
      },
      {
        run: (feeds) => session.run(feeds),
        feed: (step, count) => source.training(sampler, step, count),
        ...(judge ? { evaluate: watch.evaluate.bind(watch) } : {}),
        save: async (state, position) => save(request, watch, state, position),
        ...(request.onProgress ? { report: request.onProgress } : {}),
        ...(request.isStopped ? { isStopped: request.isStopped } : {}),
      },
      start.state,
      start.position,
    );
    const weights = request.keep === 'best' ? (watch.best ?? done.state) : done.state;
    return {
      weights: weightsOf(graph, weights),
      evaluations: watch.evaluations,
      position: done.position,
      isStopped: done.isStopped,
    };
  } finally {
    await session.dispose();
    await judge?.dispose();
  }
}

function fresh(graph: TrainingGraph): { state: State; position: Position } {
  return { state: initialState(graph), position: START };
}

function rateOf(o: OptimizationSettings, steps: number): (update: number) => number {
  const updates = Math.max(1, Math.floor(steps / o.accumulate));
  const warmup = o.warmup < 1 ? Math.round(o.warmup * updates) : o.warmup;
  const settings = { peak: o.rate, steps: updates, warmup, floor: 0 };
  const every = Math.max(1, Math.round(updates / 3));
  return (update) => rateAt(o.schedule, update, { ...settings, every, factor: 0.1 });
}

/** Parameters and running statistics; where there is a moving average, that. */
export function weightsOf(graph: TrainingGraph, state: State): Map<string, Tensor> {
  const weights = new Map<string, Tensor>();
  for (const { name, kind, of } of graph.state) {
    const tensor = state.get(name);
    if (!tensor || !of) continue;
    if (kind === 'parameter' || kind === 'buffer') {
      if (!weights.has(of)) weights.set(of, tensor);
    }
    if (kind === 'average') weights.set(of, tensor);
  }
  return weights;
}

function save(request: TrainRequest, watch: Watch, state: State, position: Position): void {
  if (!request.checkpoint) return;
  const best = [...(watch.best ?? [])].map(([name, tensor]) => [`best/${name}`, tensor] as const);
  writeCheckpoint(request.checkpoint, {
    state: new Map([...state, ...best]),
    facts: { position, evaluations: watch.facts(), seed: request.seed, batch: request.batch },
  });
}

function resumed(
  request: TrainRequest,
  graph: TrainingGraph,
  watch: Watch,
): { state: State; position: Position } {
  const path = request.checkpoint ?? '';
  const { state, facts } = readCheckpoint(path);
  watch.restore(facts['evaluations'], state);
  const own = graph.state.map(({ name, initial }) => {
    const tensor = state.get(name);
    const fits = tensor?.dtype === initial.dtype && `${tensor.shape}` === `${initial.shape}`;
    if (!tensor || !fits)
      throw badCheckpoint(path, `it has no state "${name}" as this run needs it`);
    return [name, tensor] as const;
  });
  return { state: new Map(own), position: facts['position'] as Position };
}

/** Validation over the state of the run. */
class ValidationJudge {
  readonly #graph: EvaluationGraph;
  readonly #session: LoadedModel;
  readonly #feeder: Feeder;
  readonly #length: number;
  readonly #rows: number;
  readonly #batch: number;
  readonly #training: TrainingGraph;

  constructor(
    parts: { graph: EvaluationGraph; session: LoadedModel; feeder: Feeder },
    training: TrainingGraph,
    length: number,
    request: TrainRequest,
  ) {
    this.#graph = parts.graph;
    this.#session = parts.session;
    this.#feeder = parts.feeder;
    this.#training = training;
    this.#length = length;
    this.#batch = request.batch;
    this.#rows = request.isPaired ? request.batch / 2 : request.batch;
  }

  async evaluate(state: State): Promise<Map<string, number>> {
    const weights = weightsOf(this.#training, state);
    const fixed: Feeds = new Map(
      this.#graph.weights.map((name) => [name, weights.get(name) as Tensor]),
    );
    const sums = new Map<string, number>();
    const batches = Math.ceil(this.#length / this.#rows);
    const size = this.#chunk();
    for (let at = 0; at < batches; at += size) {
      const count = Math.min(size, batches - at);
      const data = await this.#feeder.evaluation(this.#length, this.#batch, at, count);
      const feeds = new Map([...data, ...fixed]);
      feeds.set(STEPS, Tensor.scalar('int64', count));
      const results = await this.#session.run(feeds);
      for (const [name, output] of this.#graph.reports) {
        const values = results.get(output)?.values() as Float32Array;
        sums.set(
          name,
          values.reduce((sum, value) => sum + value, sums.get(name) ?? 0),
        );
      }
    }
    const names = [...sums.keys()].filter((name) => !name.endsWith('#count'));
    return new Map(
      names.map((name) => [name, (sums.get(name) ?? 0) / (sums.get(`${name}#count`) || 1)]),
    );
  }

  dispose(): Promise<void> {
    return this.#session.dispose();
  }

  #chunk(): number {
    const bytes = this.#graph.data.reduce(
      (sum, { shape }) => sum + 8 * shape.reduce((a, b) => a * b, 1),
      1,
    );
    return Math.max(1, Math.floor(EVALUATION_BYTES / bytes));
  }
}

async function openJudge(
  request: TrainRequest,
  inference: Model,
  training: TrainingGraph,
  feeder: (dataset: Dataset, inputs: TrainingGraph['data']) => Feeder,
): Promise<ValidationJudge | undefined> {
  const { validation, objective, objectiveSettings } = request;
  if (!validation) return undefined;
  if (!validation.take || validation.length === undefined) throw dataHasNoOrder(validation.summary);
  const names = new Set(weightsOf(training, initialState(training)).keys());
  const weights = [...inference.graph.initializers].filter(({ name }) => names.has(name));
  const graph = buildEvaluation({
    model: inference,
    weights,
    objective,
    settings: { ...objectiveSettings, labelSmoothing: 0 },
  });
  const session = await loadModel(graph.model, { ...request.session, optimization: 'all' });
  const parts = { graph, session, feeder: feeder(validation, graph.data) };
  return new ValidationJudge(parts, training, validation.length, request);
}
