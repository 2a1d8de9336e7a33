// A training run from data to trained weights: opens the sessions, feeds the trainer, validates,
// writes checkpoints, tells how it goes.

import type { Dataset } from '../../data/dataset.ts';
import { pairsNeedEvenBatch } from '../../errors/train.ts';
import type { Model } from '../../graph/index.ts';
import { loadModel } from '../../runtime/runner.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { EvaluationGraph } from '../../train/evaluation.ts';
import { Feeder } from '../../train/feeder.ts';
import type { TrainingGraph } from '../../train/plan.ts';
import { rangeTest } from '../../train/rate-range.ts';
import { rateAt } from '../../train/schedule.ts';
import { START, train } from '../../train/trainer.ts';
import { isInHalf } from '../../train/wide.ts';
import {
  penaltiesOf,
  sameOf,
  saveState,
  startOf,
  stateWeights,
  withPenalties,
} from './checkpoint.ts';
import { firstNotFinite } from './diagnosis.ts';
import { evaluationOfWritten, makeGraphs, type TrainGraphs } from './graphs.ts';
import { type InHalf, inHalf } from './half.ts';
import { trainedModel } from './qat.ts';
import { ordered, sourceOf } from './replay.ts';
import type { TrainRequest, TrainResult } from './request.ts';
import type { OptimizationSettings } from './settings.ts';
import { teacherAnswers } from './teacher-answers.ts';
import type { TeacherCache } from './teacher-cache.ts';
import { Validation } from './validation.ts';
import { Watch } from './watch.ts';

export async function runTraining(request: TrainRequest): Promise<TrainResult> {
  const { optimization } = request;
  const { dataset, sampler } = await sourceOf(request, samplesOf(request));
  const { stepsPerEpoch } = sampler;
  const steps = request.steps(stepsPerEpoch);
  const { sparsity, penalty, settled } = pruningTimes(request, steps);
  const started = performance.now();
  const { feeds: sample } = await dataset.take([0]);
  const graphs = await makeGraphs(request, sample, sparsity);
  const buildMs = performance.now() - started;
  const graph = graphs.training;
  const options = { ...request.session, optimization: 'all' as const, keepPairs: true };
  const answers = await teacherAnswers(request, graphs.lessons, { steps, stepsPerEpoch });
  if (graphs.lessons.length > 0 && !answers) return nothingDone(request, graphs);
  const session = await loadModel(graph.model, options);
  const validation = await openValidation(request, graphs, graphs.evaluation, true);
  try {
    const watch = new Watch(request, validation?.judge.bind(validation), settled);
    const source = feederOf(request, graphs, dataset, graph.data, answers);
    const run = (feeds: Feeds, consumed?: ReadonlySet<string>) =>
      session.run(feeds, undefined, consumed);
    const feed = (step: number, count: number) => source.training(sampler, step, count);
    const same = await sameOf(request);
    const start = startOf(request, graph, watch, same);
    const { accumulate } = optimization;
    const rateRange =
      optimization.rate === 'auto'
        ? (start.rateRange ??
          (await rangeTest(
            { graph, accumulate, steps, stepsPerEpoch },
            { run, feed },
            start.state,
          )))
        : undefined;
    request.onStart?.({
      steps,
      stepsPerEpoch,
      samples: samplesOf(request),
      firstStep: start.position.step,
      trained: graphs.trained,
      fixed: graphs.fixed,
      matched: graphs.matched,
      nodes: graph.model.graph.nodeCount,
      buildMs,
      loadMs: session.loadMs,
      rateRange,
    });
    const done = await train(
      {
        graph,
        steps,
        stepsPerEpoch,
        accumulate,
        rate: rateOf(optimization, rateRange?.chosen, steps),
        sparsity,
        penalty,
        chooseAt: penalty && penalty.begin * accumulate,
        scalesEnd: scalesEnd(request, steps),
        evaluateEvery: request.evaluateEvery ?? stepsPerEpoch,
        checkpointEvery: request.checkpointEvery ?? stepsPerEpoch,
      },
      {
        run,
        feed,
        ...(validation ? { evaluate: watch.evaluate.bind(watch) } : {}),
        diagnose: async (state, step) => {
          const stacked = await feed(step, 1);
          return firstNotFinite(graphs.watched, graph, state, stacked, request.session);
        },
        choose: async (state) => {
          const weights = graphs.finish(stateWeights(graph, state));
          const chosen = await request.pruning?.choose(weights, penalty?.final ?? 0);
          return chosen ? withPenalties(graph, state, chosen) : state;
        },
        save: async (state, position) => {
          saveState(request, { watch, rateRange, same }, state, position);
          request.onWeights?.(position.step, stateWeights(graph, state));
        },
        ...(request.onProgress ? { report: request.onProgress } : {}),
        ...(request.isStopped ? { isStopped: request.isStopped } : {}),
      },
      start.state,
      start.position,
    );
    const best = request.keep === 'best' ? watch.best : undefined;
    const state = best ?? done.state;
    const found = stateWeights(graph, state);
    const isCut = penalty && done.position.step >= settled;
    const weights = graphs.finish(found);
    const { model, decisions } = await asWritten(request, weights);
    const isOther = request.qat || request.keepHalf || isInHalf(request.original);
    return {
      weights,
      model,
      decisions,
      written: isOther ? await judgeWritten(request, graphs, model, sample) : undefined,
      adapters: new Map([...found].filter(([name]) => /#lora_[ab]$/.test(name))),
      penalties: isCut ? penaltiesOf(graph, state) : undefined,
      evaluations: watch.evaluations,
      position: done.position,
      isStopped: done.isStopped,
    };
  } finally {
    await session.dispose();
    await validation?.dispose();
    answers?.close();
  }
}

/** Samples of a step: half of the batch where each of them is seen twice. */
function samplesOf({ batch, isPaired }: TrainRequest): number {
  if (isPaired && batch % 2 > 0) throw pairsNeedEvenBatch(batch);
  return isPaired ? batch / 2 : batch;
}

/** When weights or units are pruned, and the step from which it is over. */
function pruningTimes({ optimization, pruning }: TrainRequest, steps: number) {
  const updates = Math.floor(steps / optimization.accumulate);
  const sparsity = optimization.sparsity(updates);
  const penalty = pruning && optimization.penalty(updates);
  const last = (sparsity ?? penalty)?.end ?? -1;
  return { sparsity, penalty, settled: (last + 1) * optimization.accumulate };
}

/** Stopped before the first step. */
async function nothingDone(request: TrainRequest, graphs: TrainGraphs): Promise<TrainResult> {
  const weights = graphs.finish(stateWeights(graphs.training));
  const written = await asWritten(request, weights);
  return {
    weights,
    ...written,
    adapters: new Map(),
    evaluations: [],
    position: START,
    isStopped: true,
  };
}

/** The model with its weights, in the precision that was asked for. */
async function asWritten(
  request: TrainRequest,
  weights: ReadonlyMap<string, Tensor>,
): Promise<InHalf> {
  const { original, qat, keepHalf } = request;
  const model = trainedModel(original, qat, weights);
  return keepHalf ? inHalf(model, keepHalf, request) : { model, decisions: qat?.decisions ?? [] };
}

/** `peak`: where it was chosen by a test. */
function rateOf(
  o: OptimizationSettings,
  peak: number | undefined,
  steps: number,
): (update: number) => number {
  const updates = Math.max(1, Math.floor(steps / o.accumulate));
  const warmup = o.warmup < 1 ? Math.round(o.warmup * updates) : o.warmup;
  const every = Math.max(1, Math.round(updates / 3));
  const settings = {
    peak: peak ?? Number(o.rate),
    steps: updates,
    warmup,
    floor: 0,
    every,
    factor: 0.1,
  };
  return (update) => rateAt(o.schedule, update, settings);
}

function feederOf(
  { seed, isPaired, masking }: TrainRequest,
  { targets }: TrainGraphs,
  dataset: Required<Pick<Dataset, 'take'>>,
  inputs: TrainingGraph['data'],
  answers?: TeacherCache,
): Feeder {
  return new Feeder({
    dataset,
    inputs,
    targets,
    seed,
    isPaired,
    masking,
    beside: answers?.take.bind(answers),
  });
}

function scalesEnd({ qat, optimization }: TrainRequest, steps: number): number | undefined {
  return qat && Math.round((qat.freeze * steps) / optimization.accumulate);
}

/** Metrics of the written model itself, with the kernels that its users will run. */
async function judgeWritten(
  request: TrainRequest,
  graphs: TrainGraphs,
  model: Model,
  sample: Feeds,
): Promise<Map<string, number> | undefined> {
  const graph = await evaluationOfWritten(request, model, sample);
  const validation = await openValidation(request, graphs, graph, false);
  try {
    return await validation?.judge(new Map());
  } finally {
    await validation?.dispose();
  }
}

async function openValidation(
  request: TrainRequest,
  graphs: TrainGraphs,
  graph: EvaluationGraph | undefined,
  keepPairs: boolean,
): Promise<Validation | undefined> {
  const { batch } = request;
  const { training } = graphs;
  const samples = samplesOf(request);
  if (!request.validation || !graph) return undefined;
  const validation = ordered(request.validation);
  const session = await loadModel(graph.model, {
    ...request.session,
    optimization: 'all',
    keepPairs,
  });
  const feeder = feederOf(request, graphs, validation, graph.data);
  const { length } = validation;
  return new Validation({ graph, training, session, feeder, length, samples, batch });
}
