// Steps of a model given as text, run as the trainer runs them.

import type { Model } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { NEXT, STEPS } from '../../src/train/loop.ts';
import { OBJECTIVES, type ObjectiveName } from '../../src/train/objectives/index.ts';
import { OBJECTIVE_DEFAULTS } from '../../src/train/objectives/objective.ts';
import { OPTIMIZER_DEFAULTS, OPTIMIZERS, type Optimizer } from '../../src/train/optimizers.ts';
import { decays, parametersOf } from '../../src/train/parameters.ts';
import { type Buffer, RATE, type StepPlan } from '../../src/train/plan.ts';
import { buildTraining } from '../../src/train/step.ts';
import { initialState } from '../../src/train/trainer.ts';
import { parseModel } from '../helpers/parse.ts';

export interface Case {
  readonly text: string;
  readonly objective?: ObjectiveName;
  readonly optimizer?: string;
  readonly plan?: Partial<StepPlan>;
  readonly settings?: Partial<StepPlan['optimizerSettings']>;
  readonly decay?: number;
  /** Changes the model before it is trained; gives its buffers. */
  prepare?(model: Model): readonly Buffer[];
}

export function graphOf(one: Case) {
  const model = parseModel(one.text);
  model.opsets.set('', 21);
  inferTypes(model);
  const { trained } = parametersOf(model);
  const buffers = one.prepare?.(model) ?? [];
  const optimizer = OPTIMIZERS[one.optimizer ?? 'sgd'] as Optimizer;
  return buildTraining({
    model,
    parameters: trained,
    buffers,
    objective: OBJECTIVES[one.objective ?? 'regress'],
    settings: OBJECTIVE_DEFAULTS,
    optimizer,
    optimizerSettings: { ...OPTIMIZER_DEFAULTS, ...optimizer.defaults, ...one.settings },
    decay: (value) => (decays(value) ? (one.decay ?? 0) : 0),
    ...one.plan,
  });
}

/** Runs K steps at once; `feeds` are stacked. Returns state and reports by name. */
export async function steps(
  one: Case,
  feeds: ReadonlyMap<string, Tensor>,
  rates: readonly number[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const graph = graphOf(one);
  const session = await loadModel(graph.model);
  try {
    const results = await session.run(
      new Map([
        ...initialState(graph),
        ...feeds,
        [RATE, Tensor.of('float32', [rates.length], rates)],
        [STEPS, Tensor.scalar('int64', rates.length)],
      ]),
    );
    const found = new Map<string, Float32Array>();
    for (const { name } of graph.state) {
      found.set(name, results.get(`${NEXT}${name}`)?.values() as Float32Array);
    }
    for (const [name, output] of graph.reports) {
      found.set(`report:${name}`, results.get(output)?.values() as Float32Array);
    }
    return found;
  } finally {
    await session.dispose();
  }
}
