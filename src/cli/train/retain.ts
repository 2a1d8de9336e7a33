// What a run keeps from forgetting, made from the request: the Fisher information of its start, and the
// model as it was before training in the training graph.

import { ewcNeedsSamples, fisherNotFound } from '../../errors/train.ts';
import type { Model, Value } from '../../graph/index.ts';
import { loadModel } from '../../runtime/runner.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { Feeder } from '../../train/feeder.ts';
import { buildFisher, type FisherGraph } from '../../train/fisher.ts';
import { graft, TEACHER } from '../../train/graft.ts';
import { NEXT, STEPS } from '../../train/loop.ts';
import type { Objective } from '../../train/objectives/objective.ts';
import { amongNew, elastic, type Penalty, padded, penalized, unmoved } from '../../train/retain.ts';
import { Sampler } from '../../train/sampler.ts';
import { plainModel } from './prepare.ts';
import { type Ordered, ordered } from './replay.ts';
import type { TrainRequest } from './request.ts';

/** The objective with the penalties that the request asks for; `forward` is what is trained. */
export async function retaining(
  request: TrainRequest,
  forward: Model,
  parameters: readonly Value[],
  objective: Objective,
  sample: Feeds,
): Promise<Objective> {
  const { retention } = request;
  if (!retention) return objective;
  const penalties: Penalty[] = [];
  let wanted = objective;
  if (retention.ewc) {
    const fisher = await fisherOf(request, parameters, sample);
    const anchors = parameters.flatMap((parameter) => {
      const [start, own] = [parameter.data, fisher.get(parameter.name)];
      return start && own ? [{ parameter, start, fisher: padded(own, start.shape) }] : [];
    });
    if (anchors.length === 0) throw fisherNotFound();
    penalties.push(elastic(anchors, retention.ewc.weight));
  }
  if (retention.lwf) {
    const { weight, soft, isAmongNew } = retention.lwf;
    const before = await plainModel(retention.before, request.batch, sample);
    const [known, all] = [before, forward].map(classesOf) as [number, number];
    // One new class would have none to compete with.
    if (isAmongNew && all > known + 1) wanted = amongNew(objective, known);
    const [output] = graft(forward, before, `${TEACHER}before/`);
    penalties.push(unmoved(output as Value, weight, soft));
  }
  return penalized(wanted, penalties);
}

function classesOf({ graph }: Model): number {
  return Number(graph.outputs[0]?.shape?.[1] ?? 0);
}

/** Samples that the Fisher information is a mean over: more change little. */
const FISHER_SAMPLES = 1000;
const CHUNK = 50;

/** By parameter, in the shapes that the model had before its classes were changed. */
async function fisherOf(
  request: TrainRequest,
  parameters: readonly Value[],
  sample: Feeds,
): Promise<Map<string, Tensor>> {
  const { retention, objective, masking, seed } = request;
  const settings = { ...request.objectiveSettings, classWeights: undefined, labelSmoothing: 0 };
  if (!objective || !retention?.ewc || request.isPaired) throw ewcNeedsSamples();
  const model = await plainModel(retention.before, 1, sample);
  const starts = new Map(parameters.map(({ name, data }) => [name, data]));
  const own = [...model.graph.initializers].filter(({ name, data }) => {
    const start = starts.get(name);
    return start && data && !(retention.hasNewHead && isOther(data, start));
  });
  const ends = { inputs: model.graph.inputs, outputs: model.graph.outputs };
  const targets = objective.targets(ends, settings);
  const graph = buildFisher({ model, parameters: own, objective, settings });
  const dataset = ordered(retention.ewc.data);
  const feeder = new Feeder({ dataset, inputs: graph.data, targets, seed, masking });
  return means(graph, feeder, dataset, request);
}

function isOther(a: Tensor, b: Tensor): boolean {
  return !Buffer.from(a.bytes()).equals(b.bytes());
}

async function means(
  { model, sums }: FisherGraph,
  feeder: Feeder,
  { length }: Ordered,
  { seed, session: options }: TrainRequest,
): Promise<Map<string, Tensor>> {
  const samples = Math.min(length, FISHER_SAMPLES);
  const sampler = new Sampler(length, 1, seed);
  const session = await loadModel(model, { ...options, optimization: 'all' });
  try {
    let state = new Map(
      [...sums.values()].map(({ name, shape }) => [
        name,
        Tensor.of('float32', shape, new Float32Array(shape.reduce((a, b) => a * b, 1))),
      ]),
    );
    for (let at = 0; at < samples; at += CHUNK) {
      const count = Math.min(CHUNK, samples - at);
      const feeds = new Map([...(await feeder.training(sampler, at, count)), ...state]);
      const results = await session.run(feeds.set(STEPS, Tensor.scalar('int64', count)));
      state = new Map(
        [...state.keys()].map((name) => [name, results.get(`${NEXT}${name}`) as Tensor]),
      );
    }
    return new Map(
      [...sums].map(([parameter, { name, shape }]) => {
        const total = state.get(name)?.values() as Float32Array;
        return [
          parameter,
          Tensor.of(
            'float32',
            shape,
            total.map((sum) => sum / samples),
          ),
        ];
      }),
    );
  } finally {
    await session.dispose();
  }
}
