// One training step as a graph: forward pass, loss, backward pass, clipping, optimiser. The updates
// stand in a branch that runs only where loss and gradients are finite (and, with accumulation, at the
// end of a group of micro-batches), so that a step that went wrong leaves everything as it was.

import { Builder, Graph, type Model, tensorType, Value } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { differentiate } from './differentiate.ts';
import { Formula } from './formula.ts';
import { type Carried, loopOver } from './loop.ts';
import type { Judged, Objective, ObjectiveSettings } from './objectives/objective.ts';
import type { Optimizer, OptimizerSettings } from './optimizers.ts';

/** A value that the forward pass makes anew: the running statistics of BatchNormalization. */
export interface Buffer {
  readonly value: Value;
  readonly next: Value;
}

export interface StepPlan {
  /** The forward pass with static shapes and inferred types; it is used up. */
  readonly model: Model;
  /** Initializers of its main graph. */
  readonly parameters: readonly Value[];
  readonly buffers: readonly Buffer[];
  readonly objective: Objective;
  readonly settings: ObjectiveSettings;
  readonly optimizer: Optimizer;
  readonly optimizerSettings: OptimizerSettings;
  /** Weight decay of a parameter. */
  decay(parameter: Value): number;
  /** Largest norm of all gradients together. */
  readonly clipNorm?: number | undefined;
  /** Largest size of an element of a gradient. */
  readonly clipValue?: number | undefined;
  /** Micro-batches whose gradients are averaged for one update. */
  readonly accumulate?: number | undefined;
  /** Share of the old in the moving average of the weights. */
  readonly averaging?: number | undefined;
}

export type StateKind = 'parameter' | 'buffer' | 'slot' | 'average' | 'sum' | 'counter';

export interface StateSpec {
  readonly name: string;
  readonly kind: StateKind;
  /** The parameter it belongs to. */
  readonly of?: string | undefined;
  readonly initial: Tensor;
}

export interface InputOf {
  readonly name: string;
  readonly dtype: DType;
  /** Of one step. */
  readonly shape: readonly number[];
}

/** The training graph: K steps in one run. */
export interface TrainingGraph {
  readonly model: Model;
  readonly state: readonly StateSpec[];
  readonly data: readonly InputOf[];
  /** Stacked outputs by what they say: loss, gradient_norm, metrics as `name` with `name#count`. */
  readonly reports: ReadonlyMap<string, string>;
}

/** Per-step inputs that the trainer feeds beside data. */
export const RATE = 'rate';
export const BOUNDARY = 'boundary';

interface Slot {
  readonly kind: StateKind;
  readonly of?: Value | undefined;
  readonly input: Value;
  readonly initial: Tensor;
  output?: Value;
}

/** Writes the step and loops it. */
export function buildTraining(plan: StepPlan): TrainingGraph {
  const { model } = plan;
  const ends = { inputs: [...model.graph.inputs], outputs: [...model.graph.outputs] };
  const targets = addTargets(plan, ends);
  const initial = new Map(
    [...plan.parameters, ...plan.buffers.map(({ value }) => value)].map(
      (value) => [value, asInput(model, value)] as const,
    ),
  );
  const f = new Formula(model);
  const judged = plan.objective.build({
    f,
    ...ends,
    settings: plan.settings,
    target: (name) => targets.get(name) as Value,
  });
  const loss = f.div(judged.loss.sum, f.max(judged.loss.count, 1e-12));
  const gradients = differentiate(model, loss, plan.parameters);
  model.graph.outputs = [];
  const stepper = new Stepper(plan, f, initial);
  const reported = stepper.write(loss, gradients);
  reportMetrics(judged, reported);
  return assemble(plan, [...ends.inputs, ...targets.values()], stepper, reported);
}

function addTargets(
  { model, objective, settings }: StepPlan,
  ends: { inputs: Value[]; outputs: Value[] },
): Map<string, Value> {
  const [batch] = ends.outputs[0]?.shape ?? [1];
  return new Map(
    objective.targets(ends, settings).map(({ name, dtype, shape }) => {
      const value = new Value(
        model.graph.fresh(`target/${name}`),
        tensorType(dtype, [Number(batch), ...shape]),
      );
      model.graph.inputs.push(value);
      return [name, value];
    }),
  );
}

/** Makes an initializer an input of the graph; returns what it held. */
export function asInput(model: Model, value: Value): Tensor {
  const { data } = value;
  if (!data) throw new Error(`"${value.name}" is not an initializer`);
  model.graph.initializers.delete(value);
  value.data = undefined;
  model.graph.inputs.push(value);
  return data;
}

class Stepper {
  readonly #plan: StepPlan;
  readonly #f: Formula;
  readonly #initial: ReadonlyMap<Value, Tensor>;
  readonly slots: Slot[] = [];
  readonly perStep: Value[] = [];

  constructor(plan: StepPlan, f: Formula, initial: ReadonlyMap<Value, Tensor>) {
    this.#plan = plan;
    this.#f = f;
    this.#initial = initial;
  }

  /** Appends clipping and updates; returns what is reported. */
  write(loss: Value, gradients: ReadonlyMap<Value, Value>): Map<string, Value> {
    const f = this.#f;
    const trained = this.#plan.parameters.filter((value) => gradients.has(value));
    const micro = trained.map((value) => gradients.get(value) as Value);
    const norm = f.sqrt(
      f.total(micro.map((g) => f.cast(f.op('ReduceSumSquare', [g], { keepdims: 0 }), 'float32'))),
    );
    const isSound = f.less(f.op('Abs', [f.add(loss, norm)]), Number.POSITIVE_INFINITY);
    const reported = new Map([
      ['loss', loss],
      ['gradient_norm', norm],
    ]);
    this.#buffers(isSound);
    const sums = this.#plan.accumulate ? trained.map((value) => this.#slot('sum', value)) : [];
    const whole = sums.length > 0 ? micro.map((g, i) => f.add((sums[i] as Slot).input, g)) : micro;
    const apply = sums.length > 0 ? f.and(isSound, this.#boundary()) : isSound;
    this.#branch(apply, trained, whole, sums, norm);
    return reported;
  }

  #buffers(isSound: Value): void {
    for (const { value, next } of this.#plan.buffers) {
      const slot = this.#slot('buffer', value, value);
      slot.output = this.#f.op('Where', [isSound, next, value]);
    }
  }

  #boundary(): Value {
    const { graph } = this.#plan.model;
    const value = new Value(graph.fresh(BOUNDARY), tensorType('bool', []));
    graph.inputs.push(value);
    this.perStep.push(value);
    return value;
  }

  /** The branch that updates, and the one that leaves all as it was. */
  #branch(
    apply: Value,
    trained: readonly Value[],
    gradients: readonly Value[],
    sums: readonly Slot[],
    norm: Value,
  ): void {
    const { model } = this.#plan;
    const rate = new Value(model.graph.fresh(RATE), tensorType('float32', []));
    model.graph.inputs.push(rate);
    this.perStep.push(rate);
    const counter = this.#counter();
    const [then, otherwise] = [new Graph('update'), new Graph('keep')];
    const moved = this.#declare(trained, [counter, ...sums]);
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
    const f = new Formula(model, then);
    const updated = this.#updates(f, { trained, gradients, sums, norm, rate, counter });
    then.outputs = moved.map((slot) => fresh(f, updated.get(slot) as Value));
    const k = new Formula(model, otherwise);
    const held = new Map(sums.map((slot, i) => [slot, gradients[i] as Value]));
    otherwise.outputs = moved.map((slot) => k.op('Identity', [held.get(slot) ?? slot.input]));
  }

  #counter(): Slot {
    const { graph } = this.#plan.model;
    const input = new Value(graph.fresh('#updates'), tensorType('float64', []));
    graph.inputs.push(input);
    const slot: Slot = { kind: 'counter', input, initial: Tensor.scalar('float64', 0) };
    this.slots.push(slot);
    return slot;
  }

  /** State of each parameter: itself, the optimiser's slots, its average. */
  #declare(trained: readonly Value[], more: readonly Slot[]): Slot[] {
    const { optimizer, averaging } = this.#plan;
    const own = trained.flatMap((value) => [
      this.#slot('parameter', value, value),
      ...optimizer.slots.map((name) => this.#slot('slot', value, undefined, name)),
      ...(averaging === undefined ? [] : [this.#slot('average', value)]),
    ]);
    return [...own, ...more];
  }

  #slot(kind: StateKind, of: Value, input?: Value, name: string = kind): Slot {
    const { graph } = this.#plan.model;
    const own = input ?? new Value(graph.fresh(`${of.name}#${name}`), of.type);
    if (!input) graph.inputs.push(own);
    const start = this.#initial.get(of) as Tensor;
    const isCopy = input !== undefined || kind === 'average';
    const zeros = () =>
      Tensor.fromBytes(start.dtype, start.shape, new Uint8Array(start.byteLength));
    const slot: Slot = { kind, of, input: own, initial: isCopy ? start : zeros() };
    this.slots.push(slot);
    return slot;
  }

  #updates(
    f: Formula,
    c: {
      trained: readonly Value[];
      gradients: readonly Value[];
      sums: readonly Slot[];
      norm: Value;
      rate: Value;
      counter: Slot;
    },
  ): Map<Slot, Value> {
    const { optimizer, optimizerSettings, accumulate, averaging } = this.#plan;
    const count = f.add(c.counter.input, 1);
    const clip = this.#clipper(f, c.gradients, c.norm);
    const updated = new Map<Slot, Value>([[c.counter, count]]);
    c.trained.forEach((parameter, i) => {
      const own = this.slots.filter(({ of }) => of === parameter);
      const slots = own.filter(({ kind }) => kind === 'slot');
      const raw = c.gradients[i] as Value;
      const result = optimizer.update(
        f,
        {
          parameter,
          gradient: clip(accumulate ? f.div(raw, accumulate) : raw),
          slots: slots.map(({ input }) => input),
          rate: c.rate,
          decay: this.#plan.decay(parameter),
          count,
        },
        optimizerSettings,
      );
      for (const slot of own) {
        if (slot.kind === 'parameter') updated.set(slot, result.parameter);
        if (slot.kind === 'sum') updated.set(slot, f.mul(slot.input, 0));
        if (slot.kind === 'average') {
          const share = averaging ?? 0;
          const kept = f.mul(slot.input, share);
          updated.set(slot, f.add(kept, f.mul(result.parameter, 1 - share)));
        }
      }
      slots.forEach((slot, j) => void updated.set(slot, result.slots[j] as Value));
    });
    return updated;
  }

  /** Clips by value, or by the norm of all: g · min(1, limit / ‖g‖). */
  #clipper(f: Formula, gradients: readonly Value[], norm: Value): (gradient: Value) => Value {
    const { clipNorm, clipValue, accumulate } = this.#plan;
    const byValue = (gradient: Value) =>
      clipValue === undefined ? gradient : f.max(f.min(gradient, clipValue), -clipValue);
    if (clipNorm === undefined) return byValue;
    const squares = () => gradients.map((g) => f.op('ReduceSumSquare', [g], { keepdims: 0 }));
    const whole = accumulate ? f.div(f.sqrt(f.total(squares())), accumulate) : norm;
    const limit = f.op('Div', [f.number(clipNorm, 'float32'), f.add(whole, 1e-6)]);
    const factor = f.min(limit, 1);
    return (gradient) => byValue(f.mul(gradient, factor));
  }
}

/** Results of a branch have to be made in it. */
function fresh(f: Formula, value: Value): Value {
  return value.producer?.graph === f.g.graph ? value : f.op('Identity', [value]);
}

function reportMetrics(judged: Judged, reported: Map<string, Value>): void {
  for (const [name, { sum, count }] of judged.metrics) {
    reported.set(name, sum);
    reported.set(`${name}#count`, count);
  }
}

function assemble(
  plan: StepPlan,
  data: readonly Value[],
  { slots, perStep }: Stepper,
  reported: ReadonlyMap<string, Value>,
): TrainingGraph {
  const state = slots.map(({ kind, of, input, initial }) => ({
    name: input.name,
    kind,
    of: of?.name,
    initial,
  }));
  const specs = [...data, ...perStep].map(inputOf);
  const carried = slots.map(({ input, output }): Carried => ({ input, output: output ?? input }));
  const model = loopOver({
    model: plan.model,
    perStep: [...data, ...perStep],
    carried,
    reported: [...reported.values()],
  });
  const stacked = model.graph.outputs.slice(carried.length);
  const names = [...reported.keys()].map((name, i) => [name, stacked[i]?.name ?? ''] as const);
  return { model, state, data: specs, reports: new Map(names) };
}

export function inputOf(value: Value): InputOf {
  return {
    name: value.name,
    dtype: value.dtype ?? 'float32',
    shape: (value.shape ?? []).map(Number),
  };
}
