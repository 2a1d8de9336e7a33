// Structured pruning while training by growing regularisation (GReg, Wang et al. 2021): weights of the
// units that are to go get an L2 penalty that grows until nothing is left of them, so that the others
// have time to take over. The penalty is a proximal step after that of the optimiser, w / (1 + p), which
// is stable however large p is and does not depend on the rate. Which weights are penalised is state,
// as ones and zeros for each parameter; at the end they are zero and their units can be cut.

import type { Value } from '../graph/index.ts';
import type { Formula } from './formula.ts';

export interface PenaltySchedule {
  /** Share of the units that goes. */
  readonly final: number;
  /** Updates at which units are chosen, and from which on they are zero. */
  readonly begin: number;
  readonly end: number;
}

/** The weight after a share of what is penalised was taken away; at 1 that is exactly zero. */
export function shrunk(f: Formula, weight: Value, penalised: Value, share: Value): Value {
  const keep = f.op('Sub', [f.number(1, 'float32'), f.mul(penalised, share)]);
  return f.mul(weight, keep);
}

/** The share p / (1 + p) that an update takes away: p grows from 0 to 1 as the cube of the way. */
export function shrinkAt({ begin, end }: PenaltySchedule, update: number): number {
  if (update < begin) return 0;
  if (update >= end) return 1;
  const penalty = ((update - begin + 1) / (end - begin)) ** 3;
  return penalty / (1 + penalty);
}
