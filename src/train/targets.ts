// Targets as the data has them, made into what the objective asks for: types, shapes, labels in range.

import { labelOutOfRange, targetMissing, targetShape } from '../errors/train.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { TargetSpec } from './objectives/objective.ts';

/** What labels are called. */
const LABEL_NAMES = ['labels', 'label', 'y', 'target', 'targets'];

/** The target that is called `wanted`, or as labels are, or is the only one. */
export function targetName(targets: Feeds, wanted?: string): string | undefined {
  const names = [...(wanted === undefined ? [] : [wanted]), ...LABEL_NAMES];
  const only = targets.size === 1 ? [...targets.keys()][0] : undefined;
  return names.find((name) => targets.has(name)) ?? only;
}

/** The target of `count` samples, [count, …shape]. */
export function targetOf(spec: TargetSpec, targets: Feeds, count: number): Tensor {
  const name = targetName(targets, spec.name);
  const found = targets.get(name ?? '');
  if (!found) throw targetMissing(spec.name, [...targets.keys()]);
  const size = spec.shape.reduce((a, b) => a * b, 1);
  if (found.size !== count * size) {
    const expected = size === 1 ? 'one number' : `[${spec.shape.join(', ')}]`;
    throw targetShape(name ?? spec.name, expected, `[${found.shape.slice(1).join(', ')}]`);
  }
  const shape = [count, ...spec.shape];
  const values = Float64Array.from(elementsOf(found) as ArrayLike<number | bigint>, Number);
  const { below, every = 1 } = spec;
  if (below !== undefined) {
    checkRange(
      values.filter((_, i) => i % every === 0),
      below,
    );
  }
  return Tensor.of(spec.dtype, shape, values);
}

/** Labels of classes, one whole number for each of `count` samples; undefined where there are none. */
export function classLabels(targets: Feeds, count: number): number[] | undefined {
  const found = targets.get(targetName(targets) ?? '');
  if (found?.size !== count || found.dtype === 'string') return undefined;
  const labels = Array.from(elementsOf(found) as ArrayLike<number | bigint>, Number);
  return labels.every(Number.isInteger) ? labels : undefined;
}

function checkRange(labels: Float64Array, below: number): void {
  const wrong = labels.findIndex((label) => !(Number.isInteger(label) && label < below));
  if (wrong >= 0) throw labelOutOfRange(labels[wrong] as number, below, wrong);
  const negative = labels.findIndex((label) => label < 0 && label !== -100 && label !== -1);
  if (negative >= 0) throw labelOutOfRange(labels[negative] as number, below, negative);
}
