// Dynamic pruning: which weights stay zero is part of the state, as a mask of ones and zeros for each
// pruned parameter, made anew at certain steps and multiplied into the weights after every update.
//
// magnitude: the smallest weights go, more and more of them (Zhu and Gupta 2018).
// movement:  those go whose gradient pushes them to zero, Σ -w·g (Sanh et al. 2020).
// rigl:      the smallest go, and as many come back where gradients are largest (Evci et al. 2020).

import { Builder, Graph, type Value } from '../graph/index.ts';
import { Formula } from './formula.ts';

export type SparsityRule = 'magnitude' | 'movement' | 'rigl';

export interface MaskInputs {
  readonly rule: SparsityRule;
  /** The weight after the optimiser, its gradient, its mask, and the sum of -w·g. */
  readonly weight: Value;
  readonly gradient: Value;
  readonly mask: Value;
  readonly score: Value | undefined;
  /** Share of zeros that is due; whether masks are made anew; share that may move (rigl). */
  readonly sparsity: Value;
  readonly prune: Value;
  readonly drop: Value;
}

/** The mask of the next step. */
export function nextMask(f: Formula, inputs: MaskInputs): Value {
  const { mask, prune } = inputs;
  const [then, otherwise] = [new Graph('mask'), new Graph('keep')];
  const [output] = new Builder(f.g.graph).ops('If', [prune], 1, {
    then_branch: then,
    else_branch: otherwise,
  });
  const made = output as Value;
  made.type = mask.type;
  then.outputs = [remade(new Formula(f.model, then), inputs)];
  otherwise.outputs = [new Formula(f.model, otherwise).op('Identity', [mask])];
  return made;
}

function remade(f: Formula, inputs: MaskInputs): Value {
  const shape = (inputs.mask.shape ?? []).map(Number);
  const size = shape.reduce((a, b) => a * b, 1);
  const flat = (value: Value) => f.reshape(value, [size]);
  const zeros = f.op('Floor', [f.mul(inputs.sparsity, size)]);
  const kept = f.op('Sub', [f.number(size, 'float32'), zeros]);
  const weight = f.op('Abs', [flat(inputs.weight)]);
  const mask =
    inputs.rule === 'rigl'
      ? moved(f, weight, flat(inputs.gradient), kept, inputs.drop)
      : largest(f, inputs.score ? flat(inputs.score) : weight, kept);
  return f.reshape(mask, shape);
}

/** Of the weights, those that stay, and those that come back by their gradient. */
function moved(f: Formula, weight: Value, gradient: Value, kept: Value, drop: Value): Value {
  const back = f.op('Floor', [f.mul(kept, drop)]);
  const stay = largest(f, weight, f.sub(kept, back));
  const others = f.op('Sub', [f.op('Abs', [gradient]), f.mul(stay, 3e38)]);
  return f.add(stay, largest(f, others, back));
}

/** Ones at the `count` largest elements of a vector. */
function largest(f: Formula, scores: Value, count: Value): Value {
  const size = Number(scores.shape?.[0] ?? 0);
  const k = f.reshape(f.cast(count, 'int64'), [1]);
  const [, indices] = f.g.ops('TopK', [scores, k], 2, { sorted: 0 });
  const ones = f.op('Expand', [f.number(1, 'float32'), k]);
  const zeros = f.op('Expand', [f.number(0, 'float32'), f.ints([size])]);
  return f.op('ScatterElements', [zeros, indices, ones]);
}

export interface SparsitySchedule {
  readonly rule: SparsityRule;
  /** Share of zeros at the end. */
  readonly final: number;
  /** Updates between which zeros become more, and how often masks are made. */
  readonly begin: number;
  readonly end: number;
  readonly every: number;
}

/** RigL's share of weights that may move at first. */
const MOVING = 0.3;

/** What a step is told: final · (1 - (1 - t)³) zeros after the share t of the way. */
export function sparsityAt(s: SparsitySchedule, update: number) {
  const way = Math.max(1, s.end - s.begin);
  const t = Math.min(1, Math.max(0, (update - s.begin) / way));
  const isRigl = s.rule === 'rigl';
  const isDue = update >= s.begin && (update - s.begin) % s.every === 0 && update <= s.end;
  return {
    sparsity: isRigl ? s.final : s.final * (1 - (1 - t) ** 3),
    prune: (isDue && !(isRigl && update === s.end)) || (update === s.end && !isRigl),
    drop: (MOVING / 2) * (1 + Math.cos(Math.PI * t)),
  };
}
