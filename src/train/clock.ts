// What every step is told beside its data, by its number alone: the rate, whether a group of
// micro-batches ends, how many zeros are due, how large the penalty is.

import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import { STEP } from './dropout.ts';
import { type PenaltySchedule, shrinkAt } from './penalty.ts';
import {
  BOUNDARY,
  DROP,
  PRUNE,
  RATE,
  SCALE_RATE,
  SHRINK,
  SPARSITY,
  type TrainingGraph,
} from './plan.ts';
import { courseAt } from './schedule.ts';
import { type SparsitySchedule, sparsityAt } from './sparsity.ts';

export interface Clock {
  readonly graph: TrainingGraph;
  /** Steps that make one update. */
  readonly accumulate: number;
  /** The rate of an update, from 0. */
  rate(update: number): number;
  readonly sparsity?: SparsitySchedule | undefined;
  readonly penalty?: PenaltySchedule | undefined;
  /** The update from which scales of fake quantisation stay as they are. */
  readonly scalesEnd?: number | undefined;
  /** Of the whole run: what courses go over. */
  readonly steps: number;
}

const NOTHING_DUE = { sparsity: 0, prune: false, drop: 0 };

/** Inputs [count] of the steps from `step` on. */
export function stepInputs(clock: Clock, step: number, count: number): Feeds {
  const { accumulate, sparsity, penalty, scalesEnd = Number.POSITIVE_INFINITY } = clock;
  const at = (i: number) => Math.floor((step + i) / accumulate);
  const due = (i: number) => (sparsity ? sparsityAt(sparsity, at(i)) : NOTHING_DUE);
  const of = <T>(value: (i: number) => T) => Array.from({ length: count }, (_, i) => value(i));
  const floats = (value: (i: number) => number) => Tensor.of('float32', [count], of(value));
  const flags = (value: (i: number) => boolean) =>
    Tensor.fromBytes('bool', [count], Uint8Array.from(of((i) => +value(i))));
  const all: Record<string, () => Tensor> = {
    [RATE]: () => floats((i) => clock.rate(at(i))),
    [SCALE_RATE]: () => floats((i) => (at(i) < scalesEnd ? clock.rate(at(i)) : 0)),
    [BOUNDARY]: () => flags((i) => (step + i + 1) % accumulate === 0),
    [STEP]: () => Tensor.of('float64', [count], Float64Array.from(of((i) => step + i))),
    [SPARSITY]: () => floats((i) => due(i).sparsity),
    [PRUNE]: () => flags((i) => due(i).prune),
    [DROP]: () => floats((i) => due(i).drop),
    [SHRINK]: () => floats((i) => (penalty ? shrinkAt(penalty, at(i)) : 0)),
  };
  for (const [name, course] of clock.graph.courses) {
    all[name] = () => floats((i) => courseAt(course, step + i, clock.steps));
  }
  const feeds = new Map<string, Tensor>();
  for (const { name } of clock.graph.data) {
    const make = all[name];
    if (make) feeds.set(name, make());
  }
  return feeds;
}
