// A training run from data to trained weights: opens the sessions, feeds the trainer, validates,
// writes checkpoints, tells how it goes.

import type { Dataset } from '../data/dataset.ts';
import type { Model } from '../graph/index.ts';
import { loadModel } from '../runtime/runner.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { EvaluationGraph } from '../train/evaluation.ts';
import { Feeder } from '../train/feeder.ts';
import type { TrainingGraph } from '../train/plan.ts';
import { rangeTest } from '../train/rate-range.ts';
import { rateAt } from '../train/schedule.ts';
import { START, train } from '../train/trainer.ts';
import { teacherAnswers } from './teacher-answers.ts';
import type { TeacherCache } from './teacher-cache.ts';
import {
  penaltiesOf,
  saveState,
  startOf,
  stateWeights,
  withPenalties,
} from './train-checkpoint.ts';
import { firstNotFinite } from './train-diagnosis.ts';
import { evaluationOfWritten, makeGraphs, type TrainGraphs } from './train-graphs.ts';
import { trainedModel } from './train-qat.ts';
import { ordered, sourceOf } from './train-replay.ts';
import type { TrainRequest, TrainResult } from './train-request.ts';
import type { OptimizationSettings } from './train-settings.ts';
import { Validation } from './train-validation.ts';
import { Watch } from './train-watch.ts';

export async function runTraining(request: TrainRequest): Promise<TrainResult> {
  const { batch, isPaired, optimization } = request;
  const samples = isPaired ? batch / 2 : batch;
  const { dataset, sampler } = await sourceOf(request, samples);
  const { stepsPerEpoch } = sampler;
  const steps = request.steps(stepsPerEpoch);
  const sparsity = optimization.sparsity(Math.floor(steps / optimization.accumulate));
  const penalty = optimization.penalty(Math.floor(steps / optimization.accumulate));
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
    const pruned = ((sparsity ?? penalty)?.end ?? -1) + 1;
    const settled = pruned * optimization.accumulate;
    const watch = new Watch(request, validation?.judge.bind(validation), settled);
    const source = feederOf(request, graphs, dataset, graph.data, answers);
    const run = (feeds: Feeds) => session.run(feeds);
    const feed = (step: number, count: number) => source.training(sampler, step, count);
    const start = startOf(request, graph, watch);
    const { accumulate } = optimization;
    const context = { run, feed, isStopped: request.isStopped };
    const rateRange =
      optimization.rate === 'auto'
        ? (start.rateRange ??
          (await rangeTest({ graph, accumulate, steps, stepsPerEpoch }, context, start.state)))
        : undefined;
    request.onStart?.({
      steps,
      stepsPerEpoch,
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
          return firstNotFinite(graphs.plain, graph, state, stacked, request.session);
        },
        choose: async (state) => {
          const { structured } = request;
          if (!structured || !penalty) return state;
          const penalties = await structured.penalties(stateWeights(graph, state), penalty.final);
          return withPenalties(graph, state, penalties);
        },
        save: async (state, position) => saveState(request, { watch, rateRange }, state, position),
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
    const model = trainedModel(request.original, request.qat, weights);
    return {
      weights,
      model,
      written: request.qat && (await judgeWritten(request, graphs, model, sample)),
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

/** Stopped before the first step. */
function nothingDone({ original, qat }: TrainRequest, graphs: TrainGraphs): TrainResult {
  const weights = graphs.finish(stateWeights(graphs.training));
  const model = trainedModel(original, qat, weights);
  return { weights, model, adapters: new Map(), evaluations: [], position: START, isStopped: true };
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

/** Metrics of the quantised model itself, with the integer kernels that its users will run. */
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
  const { batch, isPaired } = request;
  const { training } = graphs;
  const samples = isPaired ? batch / 2 : batch;
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
