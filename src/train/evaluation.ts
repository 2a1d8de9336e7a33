// Loss and metrics on data that is not trained on: the forward pass as it will be used, K batches in
// one run. Parameters are inputs, so that the state of a training run is judged as it stands.

import { type Model, tensorType, Value } from '../graph/index.ts';
import { Formula } from './formula.ts';
import { loopOver } from './loop.ts';
import type { Objective, ObjectiveSettings } from './objectives/objective.ts';
import type { InputOf } from './plan.ts';
import { asInput, inputOf } from './step.ts';
import { widenCodes } from './wide-codes.ts';

export interface EvaluationPlan {
  /** The forward pass of inference with static shapes and inferred types; it is used up. */
  readonly model: Model;
  /** Initializers that the state of the training run has under their names. */
  readonly weights: readonly Value[];
  readonly objective: Objective;
  readonly settings: ObjectiveSettings;
}

export interface EvaluationGraph {
  readonly model: Model;
  readonly data: readonly InputOf[];
  readonly weights: readonly string[];
  /** Stacked sums by metric; counts under `name#count`. */
  readonly reports: ReadonlyMap<string, string>;
}

/** The per-step input that tells samples, 1, from what fills up a batch, 0. */
export const REAL = 'real';

export function buildEvaluation(plan: EvaluationPlan): EvaluationGraph {
  const { model, objective, settings } = plan;
  widenCodes(model);
  const ends = { inputs: [...model.graph.inputs], outputs: [...model.graph.outputs] };
  const batch = Number(ends.outputs[0]?.shape?.[0] ?? 1);
  const perStep: Value[] = [...ends.inputs];
  const input = (value: Value) => {
    model.graph.inputs.push(value);
    perStep.push(value);
    return value;
  };
  const fresh = (name: string) => model.graph.fresh(name);
  const targets = new Map(
    objective.targets(ends, settings).map(({ name, dtype, shape }) => {
      const type = tensorType(dtype, [batch, ...shape]);
      return [name, input(new Value(fresh(`target/${name}`), type))];
    }),
  );
  const real = input(new Value(fresh(REAL), tensorType('float32', [batch])));
  for (const weight of plan.weights) asInput(model, weight);
  const target = (name: string) => targets.get(name) as Value;
  const judged = objective.build({ f: new Formula(model), ...ends, settings, target, real });
  const reported = new Map<string, Value>();
  for (const [name, { sum, count }] of new Map([['loss', judged.loss], ...judged.metrics])) {
    reported.set(name, sum);
    reported.set(`${name}#count`, count);
  }
  const data = perStep.map(inputOf);
  const looped = loopOver({ model, perStep, carried: [], reported: [...reported.values()] });
  const names = [...reported.keys()];
  return {
    model: looped,
    data,
    weights: plan.weights.map(({ name }) => name),
    reports: new Map(looped.graph.outputs.map(({ name }, i) => [names[i] ?? '', name])),
  };
}
