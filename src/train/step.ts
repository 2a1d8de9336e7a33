// One training step as a graph: forward pass, loss, backward pass, and what `update` makes of the
// gradients; K of them in a loop.

import { type Model, tensorType, Value } from '../graph/index.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { differentiate } from './differentiate.ts';
import { applyDropout } from './dropout.ts';
import { Formula } from './formula.ts';
import { type Carried, loopOver } from './loop.ts';
import { meanValue } from './objectives/objective.ts';
import type { InputOf, StepPlan, TrainingGraph } from './plan.ts';
import { lossScale } from './precision.ts';
import type { Course } from './schedule.ts';
import { StateWriter } from './state.ts';
import { Updater } from './update.ts';

/** Writes the step and loops it. Parameters that the loss does not depend on stay as they are. */
export function buildTraining(plan: StepPlan): TrainingGraph {
  const { model } = plan;
  const ends = { inputs: [...model.graph.inputs], outputs: [...model.graph.outputs] };
  const targets = addTargets(plan, ends);
  const step = applyDropout(model);
  // A mask may have taken the place of what made an output.
  ends.outputs = [...model.graph.outputs];
  const initial = new Map(
    [...plan.parameters, ...plan.buffers.map(({ value }) => value)].map(
      (value) => [value, asInput(model, value)] as const,
    ),
  );
  const f = new Formula(model);
  const state = new StateWriter(model, initial);
  const courses = new Map<string, Course>();
  const judged = plan.objective.build({
    f,
    ...ends,
    settings: plan.settings,
    target: (name) => targets.get(name) as Value,
    everyStep(name, course) {
      const value = state.everyStep(name, 'float32');
      courses.set(value.name, course);
      return value;
    },
  });
  const loss = meanValue(f, judged.loss);
  const scaling = plan.precision === 'float16' ? lossScale(f, state) : undefined;
  const scaled = scaling ? f.mul(loss, scaling.scale) : loss;
  const gradients = differentiate(model, scaled, plan.parameters);
  model.graph.outputs = [];
  for (const value of plan.parameters) {
    if (!gradients.has(value)) asInitializer(model, value, initial.get(value) as Tensor);
  }
  const reported = new Updater(plan, f, state).write(loss, gradients, scaling);
  for (const [name, { sum, count }] of judged.metrics) {
    reported.set(name, sum);
    reported.set(`${name}#count`, count);
  }
  const data = [...ends.inputs, ...targets.values(), ...(step ? [step] : [])];
  return { ...assemble(plan, data, state, reported), courses };
}

/** Makes the targets of the objective inputs of the graph; by name. */
export function addTargets(
  { model, objective, settings }: Pick<StepPlan, 'model' | 'objective' | 'settings'>,
  ends: { inputs: Value[]; outputs: Value[] },
): Map<string, Value> {
  const [batch] = ends.outputs[0]?.shape ?? [1];
  return new Map(
    objective.targets(ends, settings).map(({ name, dtype, shape }) => {
      const type = tensorType(dtype, [Number(batch), ...shape]);
      const value = new Value(model.graph.fresh(`target/${name}`), type);
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

function asInitializer(model: Model, value: Value, data: Tensor): void {
  model.graph.inputs = model.graph.inputs.filter((input) => input !== value);
  model.graph.initializers.add(value);
  value.data = data;
}

function assemble(
  plan: StepPlan,
  data: readonly Value[],
  { slots, perStep }: StateWriter,
  reported: ReadonlyMap<string, Value>,
): Omit<TrainingGraph, 'courses'> {
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
