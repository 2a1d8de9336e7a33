// What weights matter to data: the diagonal of the empirical Fisher information, the mean over samples
// of the squared gradient of a sample's loss (Kirkpatrick et al. 2017, "Overcoming catastrophic
// forgetting in neural networks"). One sample a step, K steps in one run; the sums go round as state.

import { type Model, Value } from '../graph/index.ts';
import { differentiate } from './differentiate.ts';
import { Formula } from './formula.ts';
import { type Carried, loopOver } from './loop.ts';
import { meanValue, type Objective, type ObjectiveSettings } from './objectives/objective.ts';
import type { InputOf } from './plan.ts';
import { addTargets, inputOf } from './step.ts';

export interface FisherPlan {
  /** The forward pass of inference for a batch of one, typed; it is used up. */
  readonly model: Model;
  /** Initializers of its main graph. */
  readonly parameters: readonly Value[];
  readonly objective: Objective;
  readonly settings: ObjectiveSettings;
}

export interface FisherGraph {
  readonly model: Model;
  readonly data: readonly InputOf[];
  /** Sums of squares by parameter: the input that holds them, in its shape. */
  readonly sums: ReadonlyMap<string, InputOf>;
}

/** Parameters that the loss does not depend on are left out. */
export function buildFisher({ model, parameters, objective, settings }: FisherPlan): FisherGraph {
  const ends = { inputs: [...model.graph.inputs], outputs: [...model.graph.outputs] };
  const targets = addTargets({ model, objective, settings }, ends);
  const f = new Formula(model);
  const target = (name: string) => targets.get(name) as Value;
  const loss = meanValue(f, objective.build({ f, ...ends, settings, target }).loss);
  const gradients = differentiate(model, loss, parameters);
  model.graph.outputs = [];
  const sums = new Map<string, InputOf>();
  const carried = [...gradients].map(([parameter, gradient]): Carried => {
    const input = new Value(model.graph.fresh(`${parameter.name}#fisher`), parameter.type);
    model.graph.inputs.push(input);
    sums.set(parameter.name, inputOf(input));
    return { input, output: f.add(input, f.square(gradient)) };
  });
  const perStep = [...ends.inputs, ...targets.values()];
  const data = perStep.map(inputOf);
  return { model: loopOver({ model, perStep, carried, reported: [] }), data, sums };
}
