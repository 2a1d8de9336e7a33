// A training run from data to trained weights: opens the sessions, feeds the trainer, validates,
// writes checkpoints, tells how it goes.

import type { Dataset } from '../data/dataset.ts';
import { pairsNeedEvenBatch } from '../errors/train.ts';
import { loadModel } from '../runtime/runner.ts';
import { Feeder } from '../train/feeder.ts';
import type { TrainingGraph } from '../train/plan.ts';
import { rateAt } from '../train/schedule.ts';
import { train } from '../train/trainer.ts';
import { saveState, startOf, stateWeights } from './train-checkpoint.ts';
import { firstNotFinite } from './train-diagnosis.ts';
import { makeGraphs, type TrainGraphs } from './train-graphs.ts';
import { ordered, sourceOf } from './train-replay.ts';
import type { TrainRequest, TrainResult } from './train-request.ts';
import type { OptimizationSettings } from './train-settings.ts';
import { Validation } from './train-validation.ts';
import { Watch } from './train-watch.ts';

export async function runTraining(request: TrainRequest): Promise<TrainResult> {
  const { batch, isPaired, optimization } = request;
  if (isPaired && batch % 2 > 0) throw pairsNeedEvenBatch(batch);
  const samples = isPaired ? batch / 2 : batch;
  const { dataset, sampler } = await sourceOf(request, samples);
  const { stepsPerEpoch } = sampler;
  const steps = request.steps(stepsPerEpoch);
  const sparsity = optimization.sparsity(Math.floor(steps / optimization.accumulate));
  const started = performance.now();
  const { feeds: sample } = await dataset.take([0]);
  const graphs = await makeGraphs(request, sample, sparsity);
  const buildMs = performance.now() - started;
  const graph = graphs.training;
  const options = { ...request.session, optimization: 'all' as const };
  const session = await loadModel(graph.model, options);
  const validation = await openValidation(request, graphs, samples);
  try {
    const watch = new Watch(request, validation?.judge.bind(validation));
    const start = startOf(request, graph, watch);
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
    });
    const source = feederOf(request, graphs, dataset, graph.data);
    const done = await train(
      {
        graph,
        steps,
        stepsPerEpoch,
        accumulate: optimization.accumulate,
        rate: rateOf(optimization, steps),
        sparsity,
        evaluateEvery: request.evaluateEvery ?? stepsPerEpoch,
        checkpointEvery: request.checkpointEvery ?? stepsPerEpoch,
      },
      {
        run: (feeds) => session.run(feeds),
        feed: (step, count) => source.training(sampler, step, count),
        ...(validation ? { evaluate: watch.evaluate.bind(watch) } : {}),
        diagnose: async (state, step) => {
          const stacked = await source.training(sampler, step, 1);
          return firstNotFinite(graphs.plain, graph, state, stacked, request.session);
        },
        save: async (state, position) => saveState(request, watch, state, position),
        ...(request.onProgress ? { report: request.onProgress } : {}),
        ...(request.isStopped ? { isStopped: request.isStopped } : {}),
      },
      start.state,
      start.position,
    );
    const best = request.keep === 'best' ? watch.best : undefined;
    const weights = stateWeights(graph, best ?? done.state);
    return {
      weights: graphs.finish(weights),
      adapters: new Map([...weights].filter(([name]) => /#lora_[ab]$/.test(name))),
      evaluations: watch.evaluations,
      position: done.position,
      isStopped: done.isStopped,
    };
  } finally {
    await session.dispose();
    await validation?.dispose();
  }
}

function rateOf(o: OptimizationSettings, steps: number): (update: number) => number {
  const updates = Math.max(1, Math.floor(steps / o.accumulate));
  const warmup = o.warmup < 1 ? Math.round(o.warmup * updates) : o.warmup;
  const every = Math.max(1, Math.round(updates / 3));
  const settings = { peak: o.rate, steps: updates, warmup, floor: 0, every, factor: 0.1 };
  return (update) => rateAt(o.schedule, update, settings);
}

function feederOf(
  { seed, isPaired, masking }: TrainRequest,
  { targets }: TrainGraphs,
  dataset: Required<Pick<Dataset, 'take'>>,
  inputs: TrainingGraph['data'],
): Feeder {
  return new Feeder({
    dataset,
    inputs,
    targets,
    seed,
    isPaired,
    masking,
  });
}

async function openValidation(
  request: TrainRequest,
  graphs: TrainGraphs,
  samples: number,
): Promise<Validation | undefined> {
  const { batch } = request;
  const { evaluation: graph, training } = graphs;
  if (!request.validation || !graph) return undefined;
  const validation = ordered(request.validation);
  const session = await loadModel(graph.model, { ...request.session, optimization: 'all' });
  const feeder = feederOf(request, graphs, validation, graph.data);
  const { length } = validation;
  return new Validation({ graph, training, session, feeder, length, samples, batch });
}
