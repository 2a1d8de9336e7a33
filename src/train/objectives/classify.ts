// Classification: cross-entropy of one class among many, or of each class for itself (binary and
// multi-label). The model may end in logits or in probabilities.

import type { Value } from '../../graph/index.ts';
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

/**
 * Cross-entropy of logits [N, C] with labels [N]: -Σ q·log p, where q is the label's class but for
 * the share of smoothing that all classes have. Negative labels count for nothing; the result is [N].
 */
export function crossEntropy(f: Formula, logits: Value, labels: Value, smoothing = 0): Value {
  const logs = f.op('LogSoftmax', [logits], { axis: -1 });
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
    if (classesOf({ inputs: [], outputs }) === 1) return binary(f, output, labels, real);
    const logits = rows(f, logitsOf(output, ['Softmax', 'LogSoftmax']));
    const losses = crossEntropy(f, logits, labels, settings.labelSmoothing);
    const there = counted(f, labels);
    const own = real ? f.mul(there, real) : there;
    const weights = weighted(f, labels, settings.classWeights, own);
    const right = meanOf(f, hits(f, logits, labels), own);
    return { loss: meanOf(f, losses, weights), metrics: new Map([['accuracy', right]]) };
  },
};

function weighted(
  f: Formula,
  labels: Value,
  classWeights: readonly number[] | undefined,
  there: Value,
): Value {
  if (!classWeights) return there;
  const table = f.g.constant(
    'class_weights',
    Tensor.of('float32', [classWeights.length], classWeights),
  );
  return f.mul(f.op('Gather', [table, f.max(labels, 0)]), there);
}

/** Σ softplus(x) - x·y: cross-entropy of a logit. */
export function binaryLosses(f: Formula, logits: Value, wanted: Value): Value {
  return f.sub(f.op('Softplus', [logits]), f.mul(logits, wanted));
}

function binary(f: Formula, output: Value, labels: Value, real: Value | undefined) {
  const [n] = (output.shape ?? []).map(Number);
  const logits = f.reshape(logitsOf(output, ['Sigmoid']), [n ?? 1]);
  const wanted = f.cast(labels, 'float32');
  const right = f.cast(f.equal(f.cast(f.greater(logits, 0), 'int64'), labels), 'float32');
  return {
    loss: meanOf(f, binaryLosses(f, logits, wanted), real),
    metrics: new Map([['accuracy', meanOf(f, right, real)]]),
  };
}

export const multilabel: Objective = {
  summary: 'binary cross-entropy of each class for itself',
  targets: (ends) => [{ name: 'labels', dtype: 'float32', shape: [classesOf(ends)] }],
  build({ f, outputs, target, real }) {
    const wanted = target('labels');
    const logits = rows(f, logitsOf(outputs[0] as Value, ['Sigmoid']));
    const losses = f.mean(binaryLosses(f, logits, wanted), [1]);
    const isRight = f.op('Equal', [f.greater(logits, 0), f.greater(wanted, 0.5)]);
    const right = f.mean(f.cast(isRight, 'float32'), [1]);
    return {
      loss: meanOf(f, losses, real),
      metrics: new Map([['accuracy', meanOf(f, right, real)]]),
    };
  },
};
