// What a step makes of its gradients: clipping, optimiser, moving average, masks. It stands in a branch
// that runs only where loss and gradients are finite (and, with accumulation, at the end of a group of
// micro-batches), so that a step that went wrong leaves everything as it was.

import { Builder, Graph, type Value } from '../graph/index.ts';
import { Formula } from './formula.ts';
import { roundGradient } from './gradient-bits.ts';
import { gainOf, type NoiseState, nextNoise, noiseReports, noiseState } from './noise-scale.ts';
import { shrunk } from './penalty.ts';
import {
  BOUNDARY,
  DROP,
  PRUNE,
  RATE,
  SCALE_RATE,
  SHRINK,
  SPARSITY,
  type StepPlan,
} from './plan.ts';
import type { LossScale } from './precision.ts';
import { balanced, nearby } from './scales.ts';
import { nextMask } from './sparsity.ts';
import type { Slot, StateWriter } from './state.ts';
import { groupsOf, updateTogether } from './together.ts';

/** State that is treated parameter by parameter. */
const OWN_KINDS = ['average', 'sum', 'mask', 'score', 'penalty', 'residue'] as const;

interface Member {
  readonly parameter: Value;
  readonly gradient: Value;
}

interface MaskClock {
  readonly sparsity: Value;
  readonly prune: Value;
  readonly drop: Value;
}

interface Raw {
  readonly trained: readonly Value[];
  /** Gradients of this micro-batch. */
  readonly micro: readonly Value[];
  readonly norm: Value;
  readonly noise: NoiseState | undefined;
}

/** Inputs of the updating branch, made outside it. */
interface Around {
  readonly trained: readonly Value[];
  readonly gradients: readonly Value[];
  readonly norm: Value;
  /** Grown: with this micro-batch. */
  readonly noise: (NoiseState & { readonly grown: Value }) | undefined;
  readonly rate: Value;
  readonly scaleRate: Value | undefined;
  readonly counter: Slot;
  readonly clock: MaskClock | undefined;
  readonly shrink: Value | undefined;
}

export class Updater {
  readonly #plan: StepPlan;
  readonly #f: Formula;
  readonly #state: StateWriter;

  constructor(plan: StepPlan, f: Formula, state: StateWriter) {
    this.#plan = plan;
    this.#f = f;
    this.#state = state;
  }

  /** Appends the update; returns what is reported. `gradients` are those of the scaled loss. */
  write(
    loss: Value,
    gradients: ReadonlyMap<Value, Value>,
    scaling: LossScale | undefined,
  ): Map<string, Value> {
    const f = this.#f;
    const trained = [...gradients.keys()];
    const raw = [...gradients.values()];
    const inverse = scaling && f.op('Reciprocal', [scaling.scale]);
    const unscaled = inverse ? raw.map((g) => f.mul(g, inverse)) : raw;
    const { scales } = this.#plan;
    const micro = unscaled.map((g, i) => balanced(f, trained[i] as Value, g, scales));
    const norm = this.#norm(f, this.#ofWeights(trained, micro));
    const all = scales?.size ? this.#norm(f, micro) : norm;
    const isSound = f.less(f.op('Abs', [f.add(loss, all)]), Number.POSITIVE_INFINITY);
    scaling?.update(isSound);
    for (const { value, next } of this.#plan.buffers) {
      this.#state.own('buffer', value).output = f.op('Where', [isSound, next, value]);
    }
    const noise = this.#plan.adapts ? noiseState(this.#state) : undefined;
    this.#branch(isSound, { trained, micro, norm, noise });
    const scale = scaling ? ([['loss_scale', scaling.scale]] as const) : [];
    const adapted = noise ? noiseReports(f, noise, this.#plan) : [];
    return new Map([['loss', loss], ['gradient_norm', norm], ...scale, ...adapted]);
  }

  /** Gradients of everything but scales, which have a measure of their own. */
  #ofWeights(trained: readonly Value[], gradients: readonly Value[]): Value[] {
    return gradients.filter((_, i) => !this.#plan.scales?.has(trained[i] as Value));
  }

  #norm(f: Formula, gradients: readonly Value[]): Value {
    return f.sqrt(f.total(gradients.map((g) => squares(f, g))));
  }

  /** The branch that updates, and the one that leaves all as it was. */
  #branch(isSound: Value, { trained, micro, norm, noise }: Raw): void {
    const f = this.#f;
    const state = this.#state;
    const { model, accumulate, sparsity, penalises } = this.#plan;
    const sums = accumulate ? trained.map((value) => state.beside(value, 'sum', 0)) : [];
    const gradients = micro.map((g, i) => (sums[i] ? f.add(sums[i].input, g) : g));
    const grown = new Map(sums.map((slot, i) => [slot, gradients[i] as Value]));
    if (noise) grown.set(noise.squares, f.add(noise.squares.input, f.square(norm)));
    const apply = accumulate ? f.and(isSound, state.everyStep(BOUNDARY, 'bool')) : isSound;
    const around: Around = {
      trained,
      gradients,
      norm,
      noise: noise && { ...noise, grown: grown.get(noise.squares) as Value },
      rate: state.everyStep(RATE, 'float32'),
      scaleRate: this.#plan.scales && state.everyStep(SCALE_RATE, 'float32'),
      counter: state.scalar('updates', 'float64', 0),
      clock: sparsity && {
        sparsity: state.everyStep(SPARSITY, 'float32'),
        prune: state.everyStep(PRUNE, 'bool'),
        drop: state.everyStep(DROP, 'float32'),
      },
      shrink: penalises ? state.everyStep(SHRINK, 'float32') : undefined,
    };
    const scalars = [around.counter, ...Object.values(noise ?? {})];
    const moved = [...trained.flatMap((value) => this.#declare(value)), ...scalars, ...sums];
    const [then, otherwise] = [new Graph('update'), new Graph('keep')];
    // Does not infer: the branches are still empty.
    const outputs = new Builder(model.graph).ops('If', [apply], moved.length, {
      then_branch: then,
      else_branch: otherwise,
    });
    moved.forEach((slot, i) => {
      const output = outputs[i] as Value;
      output.type = slot.input.type;
      slot.output = output;
    });
    const inside = new Formula(model, then);
    const updated = this.#updates(inside, around);
    then.outputs = moved.map((slot) => ownValue(inside, updated.get(slot) as Value));
    const kept = new Formula(model, otherwise);
    // Between boundaries sums grow; after a step that went wrong they do not.
    const sum = (slot: Slot) => {
      const value = grown.get(slot);
      return value && kept.op('Where', [isSound, value, slot.input]);
    };
    otherwise.outputs = moved.map((slot) => sum(slot) ?? kept.op('Identity', [slot.input]));
  }

  /** State of a parameter: itself, the optimiser's slots, its average, its mask. */
  #declare(value: Value): Slot[] {
    const { optimizer, averaging, sparsity, penalises, gradientBits } = this.#plan;
    const state = this.#state;
    const isMasked = sparsity?.applies(value) ?? false;
    // What is penalised is chosen between steps, and stays as it is in them.
    if (penalises) state.beside(value, 'penalty', 0);
    return [
      state.own('parameter', value),
      ...optimizer.slots.map((name) => state.beside(value, 'slot', 0, name)),
      ...(averaging === undefined ? [] : [state.beside(value, 'average', 'copy')]),
      ...(gradientBits === undefined ? [] : [state.beside(value, 'residue', 0)]),
      ...(isMasked ? [state.beside(value, 'mask', 1)] : []),
      ...(isMasked && sparsity?.rule === 'movement' ? [state.beside(value, 'score', 0)] : []),
    ];
  }

  #updates(f: Formula, around: Around): Map<Slot, Value> {
    const count = f.add(around.counter.input, 1);
    const clip = this.#clipper(f, around);
    const updated = new Map<Slot, Value>([[around.counter, count]]);
    const { accumulate } = this.#plan;
    const rate = this.#rate(f, around, updated);
    const members = around.trained.map((parameter, i) => {
      const raw = around.gradients[i] as Value;
      const mean = accumulate ? f.div(raw, accumulate) : raw;
      return { parameter, gradient: this.#plan.scales?.has(parameter) ? mean : clip(mean) };
    });
    for (const group of groupsOf(members, ({ parameter }) => this.#sharedBy(parameter))) {
      const [first] = group;
      const common = { count, rate, around, updated };
      if (group.length > 1) this.#updateTogether(f, group, common);
      else if (first) this.#updateOne(f, { ...first, ...common });
    }
    return updated;
  }

  /** What parameters share that are updated as one; undefined where there is more to one than its slots. */
  #sharedBy(parameter: Value): string | undefined {
    const { optimizer, scales, decay } = this.#plan;
    const isPlain = OWN_KINDS.every((kind) => this.#state.of(parameter, kind).length === 0);
    if (!optimizer.isByElement || !isPlain || scales?.has(parameter)) return undefined;
    return `${parameter.dtype} ${decay(parameter)}`;
  }

  #updateTogether(
    f: Formula,
    group: readonly Member[],
    { count, rate, updated }: { count: Value; rate: Value; updated: Map<Slot, Value> },
  ): void {
    const { optimizer, optimizerSettings, decay } = this.#plan;
    const slotsOf = (kind: 'parameter' | 'slot') =>
      group.map(({ parameter }) => this.#state.of(parameter, kind));
    const slots = slotsOf('slot');
    const moved = updateTogether(f, optimizer, optimizerSettings, {
      parameters: group.map(({ parameter }) => parameter),
      gradients: group.map(({ gradient }) => gradient),
      slots: slots.map((row) => row.map(({ input }) => input)),
      rate,
      decay: decay((group[0] as Member).parameter),
      count,
    });
    const own = slotsOf('parameter').flat();
    own.forEach((slot, i) => void updated.set(slot, moved.parameters[i] as Value));
    const besides = moved.slots.flat();
    slots.flat().forEach((slot, i) => void updated.set(slot, besides[i] as Value));
  }

  /** The rate of the schedule, times what the noise of the gradients allows. */
  #rate(f: Formula, { rate, noise, gradients }: Around, updated: Map<Slot, Value>): Value {
    const { accumulate = 1, optimizer } = this.#plan;
    if (!noise) return rate;
    const whole = f.div(f.total(gradients.map((g) => squares(f, g))), accumulate ** 2);
    const next = nextNoise(f, noise, { squares: noise.grown, whole, count: accumulate });
    updated.set(noise.variance, next.variance);
    updated.set(noise.signal, next.signal);
    updated.set(noise.squares, f.number(0, 'float32'));
    const gain = gainOf(f, next.variance, next.signal, accumulate);
    return f.mul(rate, optimizer.isNormalised ? f.sqrt(gain) : gain);
  }

  #updateOne(
    f: Formula,
    c: {
      parameter: Value;
      gradient: Value;
      count: Value;
      rate: Value;
      around: Around;
      updated: Map<Slot, Value>;
    },
  ): void {
    const { optimizer, optimizerSettings, averaging, gradientBits } = this.#plan;
    const { parameter, count, updated } = c;
    const slot = (kind: Slot['kind']) => this.#state.of(parameter, kind)[0];
    const set = (at: Slot | undefined, value: Value) => void (at && updated.set(at, value));
    let { gradient } = c;
    const residue = slot('residue');
    if (residue && gradientBits) {
      const rounded = roundGradient(f, gradient, residue.input, gradientBits, count);
      gradient = rounded.gradient;
      updated.set(residue, rounded.residue);
    }
    const slots = this.#state.of(parameter, 'slot');
    const scaleRate = this.#plan.scales?.has(parameter) ? c.around.scaleRate : undefined;
    const result = optimizer.update(
      f,
      {
        parameter,
        gradient,
        slots: slots.map(({ input }) => input),
        rate: scaleRate ? f.mul(parameter, scaleRate) : c.rate,
        decay: this.#plan.decay(parameter),
        count,
      },
      optimizerSettings,
    );
    slots.forEach((one, j) => void updated.set(one, result.slots[j] as Value));
    const moved = scaleRate ? nearby(f, parameter, result.parameter) : result.parameter;
    const [penalty] = this.#state.of(parameter, 'penalty');
    const { shrink } = c.around;
    const left = (value: Value) =>
      penalty && shrink ? shrunk(f, value, penalty.input, shrink) : value;
    const weight = left(this.#masked(f, { ...c, gradient }, moved));
    set(slot('parameter'), weight);
    const sum = slot('sum');
    if (sum) updated.set(sum, f.mul(sum.input, 0));
    const average = slot('average');
    if (average && averaging !== undefined) {
      const mean = f.add(f.mul(average.input, averaging), f.mul(weight, 1 - averaging));
      updated.set(average, left(mean));
    }
  }

  /** The weight with its mask, which may be made anew. */
  #masked(
    f: Formula,
    c: { parameter: Value; gradient: Value; around: Around; updated: Map<Slot, Value> },
    weight: Value,
  ): Value {
    const [mask] = this.#state.of(c.parameter, 'mask');
    const { clock } = c.around;
    const { sparsity } = this.#plan;
    if (!mask || !clock || !sparsity) return weight;
    const [score] = this.#state.of(c.parameter, 'score');
    const summed = score && f.sub(score.input, f.mul(c.parameter, c.gradient));
    if (score && summed) c.updated.set(score, summed);
    const next = nextMask(f, {
      rule: sparsity.rule,
      weight,
      gradient: c.gradient,
      mask: mask.input,
      score: summed,
      ...clock,
    });
    c.updated.set(mask, next);
    return f.mul(weight, next);
  }

  /** Clips by value, or by the norm of all: g · min(1, limit / ‖g‖). */
  #clipper(f: Formula, { trained, gradients, norm }: Around): (gradient: Value) => Value {
    const { clipNorm, clipValue, accumulate } = this.#plan;
    const byValue = (gradient: Value) =>
      clipValue === undefined ? gradient : f.max(f.min(gradient, clipValue), -clipValue);
    if (clipNorm === undefined) return byValue;
    const summed = () => this.#norm(f, this.#ofWeights(trained, gradients));
    const whole = accumulate ? f.div(summed(), accumulate) : norm;
    const limit = f.op('Div', [f.number(clipNorm, 'float32'), f.add(whole, 1e-6)]);
    const factor = f.min(limit, 1);
    return (gradient) => byValue(f.mul(gradient, factor));
  }
}

/** Results of a branch have to be made in it. */
function ownValue(f: Formula, value: Value): Value {
  return value.producer?.graph === f.g.graph ? value : f.op('Identity', [value]);
}

function squares(f: Formula, gradient: Value): Value {
  return f.op('ReduceSumSquare', [gradient], { keepdims: 0 });
}
