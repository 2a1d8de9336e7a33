// Penalties against forgetting, beside the loss of an objective: weights that mattered stay near where
// they were (elastic weight consolidation, Kirkpatrick et al. 2017), outputs stay what they were
// (learning without forgetting, Li and Hoiem 2016).

import type { Value } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import { softDivergence } from './distillation.ts';
import type { Formula } from './formula.ts';
import { meanValue, type Objective, type ObjectiveContext } from './objectives/objective.ts';
import { flatLogits } from './scores.ts';

export interface Penalty {
  /** As it is reported. */
  readonly name: string;
  readonly weight: number;
  /** A scalar, written as nodes. */
  write(c: ObjectiveContext): Value;
}

/** The objective with Σ weight · penalty added to its loss; each is reported beside its metrics. */
export function penalized(objective: Objective, penalties: readonly Penalty[]): Objective {
  if (penalties.length === 0) return objective;
  return {
    ...objective,
    build(c) {
      const { f } = c;
      const judged = objective.build(c);
      const metrics = new Map(judged.metrics);
      let loss = meanValue(f, judged.loss);
      for (const { name, weight, write } of penalties) {
        const value = write(c);
        loss = f.add(loss, f.mul(value, weight));
        metrics.set(name, { sum: value, count: f.number(1, 'float32') });
      }
      const { count } = judged.loss;
      return { loss: { sum: f.mul(loss, count), count }, metrics };
    },
  };
}

/** A weight in the training graph, where it started, and its Fisher information; of one shape. */
export interface Anchor {
  readonly parameter: Value;
  readonly start: Tensor;
  readonly fisher: Tensor;
}

/** ½ Σ F · (θ - θ₀)² */
export function elastic(anchors: readonly Anchor[], weight: number): Penalty {
  const term = (f: Formula, { parameter, start, fisher }: Anchor) => {
    const [from, matters] = [f.g.constant('ewc/start', start), f.g.constant('ewc/fisher', fisher)];
    return f.sum(f.mul(matters, f.square(f.sub(parameter, from))));
  };
  return {
    name: 'ewc',
    weight,
    write: ({ f }) => f.mul(f.total(anchors.map((anchor) => term(f, anchor))), 0.5),
  };
}

/** Softens both distributions, as in the paper. */
const TEMPERATURE = 2;

/**
 * How far the first output has moved from `before`, the output of the model as it was, for the
 * classes that it told apart: the divergence of softened distributions, or the squared distance.
 */
export function unmoved(before: Value, weight: number, soft: 'kl' | 'mse'): Penalty {
  return {
    name: 'lwf',
    weight,
    write({ f, outputs }) {
      const output = outputs[0] as Value;
      if (soft === 'mse') return f.mean(f.square(f.sub(output, before)));
      const [now, then] = [flatLogits(f, output), flatLogits(f, before)];
      const [all, known] = [now, then].map(({ shape }) => Number(shape?.[1] ?? 1)) as [
        number,
        number,
      ];
      const old = all > known ? f.slice(now, 1, 0, known) : now;
      const rows = softDivergence(f, old, then, f.number(TEMPERATURE, 'float32'));
      // The paper does not multiply by T².
      return f.div(f.mean(rows), TEMPERATURE ** 2);
    },
  };
}

/**
 * Cross-entropy among new classes alone where the label is one of them, as the paper's new head has it:
 * the first `known` classes are left to what keeps them, instead of being pushed down by every sample.
 */
export function amongNew(objective: Objective, known: number): Objective {
  return {
    ...objective,
    build(c) {
      const { f, outputs } = c;
      const logits = flatLogits(f, outputs[0] as Value);
      const classes = Number(logits.shape?.[1] ?? 1);
      const out = Float32Array.from({ length: classes }, (_, i) => (i < known ? -1e9 : 0));
      const mask = f.g.constant('lwf/known', Tensor.of('float32', [1, classes], out));
      const isNew = f.op('GreaterOrEqual', [c.target('labels'), f.number(known, 'int64')]);
      const rows = f.op('Unsqueeze', [isNew, f.ints([1])]);
      const among = f.where(rows, f.add(logits, mask), logits);
      return objective.build({ ...c, outputs: [among, ...outputs.slice(1)] });
    },
  };
}

/** `tensor` with zeros behind its elements along the axes where `shape` is longer. */
export function padded(tensor: Tensor, shape: readonly number[]): Tensor {
  if (`${tensor.shape}` === `${shape}`) return tensor;
  const values = tensor.values() as Float32Array;
  const made = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const own = tensor.shape;
  for (let i = 0; i < values.length; i++) {
    let [rest, at, stride] = [i, 0, 1];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = own[axis] as number;
      at += (rest % size) * stride;
      rest = Math.floor(rest / size);
      stride *= shape[axis] as number;
    }
    made[at] = values[i] as number;
  }
  return Tensor.of('float32', shape, made);
}
