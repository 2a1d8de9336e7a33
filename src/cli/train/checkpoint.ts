// The state of a run in and out of its checkpoint, and the weights that are in it.

import { badCheckpoint } from '../../errors/train.ts';
import { modelKey } from '../../graph/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { readCheckpoint, writeCheckpoint } from '../../train/checkpoint.ts';
import type { TrainingGraph } from '../../train/plan.ts';
import type { RateRange } from '../../train/rate-range.ts';
import { initialState, type Position, START, type State } from '../../train/trainer.ts';
import type { TrainRequest } from './request.ts';
import type { Watch } from './watch.ts';

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

/** What is penalised, by the name of the weight. */
export function penaltiesOf({ state }: TrainingGraph, from: State): Map<string, Tensor> {
  const own = state.filter(({ kind }) => kind === 'penalty');
  return new Map(own.map(({ name, of }) => [of ?? '', from.get(name) as Tensor]));
}

/** The state with what is penalised set anew. */
export function withPenalties(
  { state }: TrainingGraph,
  from: State,
  penalties: ReadonlyMap<string, Tensor>,
): State {
  const next = new Map(from);
  for (const { name, kind, of = '' } of state) {
    const penalty = penalties.get(of);
    if (kind === 'penalty' && penalty) next.set(name, penalty);
  }
  return next;
}

/** What is kept beside the state. */
interface Kept extends Pick<Start, 'rateRange'> {
  readonly watch: Watch;
  readonly same: Same;
}

export function saveState(
  request: TrainRequest,
  { watch, rateRange, same }: Kept,
  state: State,
  position: Position,
): void {
  const { checkpoint } = request;
  if (!checkpoint) return;
  const best = [...(watch.best ?? [])].map(([name, tensor]) => [`best/${name}`, tensor] as const);
  writeCheckpoint(checkpoint, {
    state: new Map([...state, ...best]),
    facts: { position, rateRange, evaluations: watch.facts(), ...same },
  });
}

/** What has to be the same in both halves of a run. */
export type Same = Readonly<Record<string, string | number | undefined>>;

export async function sameOf(request: TrainRequest): Promise<Same> {
  const { seed, batch, data, replay, qat, teaching, checkpoint } = request;
  const keys: string[] = [];
  // All weights are read for a key, which only a checkpoint needs.
  const teachers = checkpoint ? (teaching?.teachers ?? []) : [];
  for (const { model } of teachers) keys.push((await modelKey(model)).slice(0, 12));
  return {
    ...{ seed, batch, samples: data.length, 'replay-share': replay?.share ?? 0, qat: qat?.type },
    'teacher key': keys.length > 0 ? keys.join() : undefined,
  };
}

export interface Start {
  readonly state: State;
  readonly position: Position;
  /** The test that the rate came from. */
  readonly rateRange?: RateRange | undefined;
}

/** Where the run starts: at its beginning, or where the checkpoint stands. */
export function startOf(
  request: TrainRequest,
  graph: TrainingGraph,
  watch: Watch,
  same: Same,
): Start {
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
  for (const [name, value] of Object.entries(same)) {
    if (facts[name] === value) continue;
    throw badCheckpoint(path, `its ${name} is ${facts[name] ?? 'none'}, not ${value ?? 'none'}`);
  }
  watch.restore(facts['evaluations'], state);
  const rateRange = facts['rateRange'] as RateRange | undefined;
  if (request.optimization.rate === 'auto' && !rateRange) {
    throw badCheckpoint(path, 'the rate of its run was not chosen by --lr auto');
  }
  return { state: new Map(own), position: facts['position'] as Position, rateRange };
}
