// The state of a run in and out of its checkpoint, and the weights that are in it.

import { badCheckpoint } from '../errors/train.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { readCheckpoint, writeCheckpoint } from '../train/checkpoint.ts';
import type { TrainingGraph } from '../train/plan.ts';
import { initialState, type Position, START, type State } from '../train/trainer.ts';
import type { TrainRequest } from './train-request.ts';
import type { Watch } from './train-watch.ts';

/** Parameters and running statistics by name; where there is a moving average, that. */
export function stateWeights(
  graph: TrainingGraph,
  state: State = initialState(graph),
): Map<string, Tensor> {
  const weights = new Map<string, Tensor>();
  for (const { name, kind, of } of graph.state) {
    const tensor = state.get(name);
    if (!tensor || !of) continue;
    const isOwn = kind === 'parameter' || kind === 'buffer';
    if (kind === 'average' || (isOwn && !weights.has(of))) weights.set(of, tensor);
  }
  return weights;
}

export function saveState(
  request: TrainRequest,
  watch: Watch,
  state: State,
  position: Position,
): void {
  if (!request.checkpoint) return;
  const best = [...(watch.best ?? [])].map(([name, tensor]) => [`best/${name}`, tensor] as const);
  writeCheckpoint(request.checkpoint, {
    state: new Map([...state, ...best]),
    facts: { position, evaluations: watch.facts(), ...sameOf(request) },
  });
}

/** What has to be the same in both halves of a run. */
function sameOf({ seed, batch, qat }: TrainRequest): Record<string, number | string | undefined> {
  return { seed, batch, qat: qat?.type };
}

/** Where the run starts: at its beginning, or where the checkpoint stands. */
export function startOf(
  request: TrainRequest,
  graph: TrainingGraph,
  watch: Watch,
): { state: State; position: Position } {
  if (!request.resume) return { state: initialState(graph), position: START };
  const path = request.checkpoint ?? '';
  const { state, facts } = readCheckpoint(path);
  const own = graph.state.map(({ name, initial }) => {
    const tensor = state.get(name);
    const fits = tensor?.dtype === initial.dtype && `${tensor.shape}` === `${initial.shape}`;
    if (!tensor || !fits)
      throw badCheckpoint(path, `it has no state "${name}" as this run needs it`);
    return [name, tensor] as const;
  });
  for (const [name, value] of Object.entries(sameOf(request))) {
    if (facts[name] === value) continue;
    throw badCheckpoint(path, `its ${name} is ${facts[name]}, not ${value}`);
  }
  watch.restore(facts['evaluations'], state);
  return { state: new Map(own), position: facts['position'] as Position };
}
