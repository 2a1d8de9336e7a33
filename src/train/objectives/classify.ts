// Classification: cross-entropy of one class among many, or of each class for itself (binary and
// multi-label). The model may end in logits or in probabilities.

import { badFlagValue } from '../../errors/usage.ts';
import type { Value } from '../../graph/index.ts';
import { elementCount } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Formula } from '../formula.ts';
import { type Ends, logitsOf, meanOf, type Objective } from './objective.ts';

/** Outputs [N, C, 1, …] count as [N, C]. */
function classesOf({ outputs: [output] }: Ends): number {
  return Number(output?.shape?.[1] ?? 1);
}

function rows(f: Formula, value: Value): Value {
  const [n, ...rest] = (value.shape ?? []).map(Number);
  return rest.length === 1 ? value : f.reshape(value, [n ?? 1, rest.reduce((a, b) => a * b, 1)]);
}

export interface CrossEntropyOptions {
  /** Share of the target that all classes have. */
  readonly smoothing?: number;
  /** How much each class counts, [C]. */
  readonly weights?: Value | undefined;
}

/**
 * Cross-entropy of logits [N, C] with labels [N]: -Σ w·q·log p, where q is the label's class but for
 * the share of smoothing that all classes have. The result is [N]; what negative labels get is to be
 * left out (`counted`).
 */
export function crossEntropy(
  f: Formula,
  logits: Value,
  labels: Value,
  { smoothing = 0, weights }: CrossEntropyOptions = {},
): Value {
  const plain = f.op('LogSoftmax', [logits], { axis: -1 });
  const logs = weights ? f.mul(plain, weights) : plain;
  const index = f.op('Unsqueeze', [f.max(labels, 0), f.ints([1])]);
  const picked = f.op('GatherElements', [logs, index], { axis: 1 });
  const own = f.neg(f.op('Squeeze', [picked, f.ints([1])]));
  if (smoothing === 0) return own;
  const all = f.neg(f.mean(logs, [1]));
  return f.add(f.mul(own, 1 - smoothing), f.mul(all, smoothing));
}

/** 1 where the largest logit is the label's, [N]. */
export function hits(f: Formula, logits: Value, labels: Value): Value {
  const best = f.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
  return f.cast(f.equal(best, labels), 'float32');
}

/** 1 where a label counts. */
export function counted(f: Formula, labels: Value): Value {
  return f.cast(f.op('GreaterOrEqual', [labels, f.number(0, 'int64')]), 'float32');
}

export const classify: Objective = {
  summary: 'cross-entropy with labels',
  targets(ends) {
    const classes = classesOf(ends);
    return [{ name: 'labels', dtype: 'int64', shape: [], below: classes === 1 ? 2 : classes }];
  },
  build({ f, outputs, target, settings, real }) {
    const labels = target('labels');
    const output = outputs[0] as Value;
    const isBinary = classesOf({ inputs: [], outputs }) === 1;
    const logits = isBinary
      ? twoClasses(f, logitsOf(output, ['Sigmoid']))
      : softmaxLogits(f, output);
    const weights = weightsOf(f, Number(logits.shape?.[1] ?? 1), settings.classWeights);
    const smoothing = settings.labelSmoothing;
    const losses = crossEntropy(f, logits, labels, { smoothing, weights });
    const own = counted(f, labels);
    const there = real ? f.mul(own, real) : own;
    const counts = weights ? f.mul(there, f.op('Gather', [weights, f.max(labels, 0)])) : there;
    return {
      loss: { sum: f.sum(f.mul(losses, there)), count: f.sum(counts) },
      metrics: new Map([['accuracy', meanOf(f, hits(f, logits, labels), there)]]),
    };
  },
};

function softmaxLogits(f: Formula, output: Value): Value {
  return rows(f, logitsOf(output, ['Softmax', 'LogSoftmax']));
}

/** Each logit x as those of two classes, 0 and x: their softmax is the sigmoid of x. [elements, 2] */
export function twoClasses(f: Formula, logits: Value): Value {
  const n = elementCount((logits.shape ?? []).map(Number));
  const zero = f.g.constant('zero', Tensor.of('float32', [n, 1], new Float32Array(n)));
  return f.op('Concat', [zero, f.reshape(logits, [n, 1])], { axis: 1 });
}

function weightsOf(
  f: Formula,
  classes: number,
  weights: readonly number[] | undefined,
): Value | undefined {
  if (!weights) return undefined;
  if (weights.length !== classes) {
    throw badFlagValue(
      'class-weights',
      weights.join(','),
      `${classes} numbers, one for each class`,
    );
  }
  return f.g.constant('class_weights', Tensor.of('float32', [classes], weights));
}

/** Σ softplus(x) - x·y: cross-entropy of a logit. */
export function binaryLosses(f: Formula, logits: Value, wanted: Value): Value {
  return f.sub(f.op('Softplus', [logits]), f.mul(logits, wanted));
}

export const multilabel: Objective = {
  summary: 'binary cross-entropy of each class for itself',
  targets: (ends) => [{ name: 'labels', dtype: 'float32', shape: [classesOf(ends)] }],
  build({ f, outputs, target, settings, real }) {
    const wanted = target('labels');
    const logits = rows(f, logitsOf(outputs[0] as Value, ['Sigmoid']));
    const { labelSmoothing: share } = settings;
    const smooth = share > 0 ? f.add(f.mul(wanted, 1 - share), share / 2) : wanted;
    const each = binaryLosses(f, logits, smooth);
    const weights = weightsOf(f, classesOf({ inputs: [], outputs }), settings.classWeights);
    const losses = f.mean(weights ? f.mul(each, weights) : each, [1]);
    const isRight = f.op('Equal', [f.greater(logits, 0), f.greater(wanted, 0.5)]);
    const right = f.mean(f.cast(isRight, 'float32'), [1]);
    return {
      loss: meanOf(f, losses, real),
      metrics: new Map([['accuracy', meanOf(f, right, real)]]),
    };
  },
};
