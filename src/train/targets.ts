// Targets as the data has them, made into what the objective asks for: types, shapes, labels in range.

import { labelOutOfRange, targetMissing, targetShape } from '../errors/train.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { TargetSpec } from './objectives/objective.ts';

/** What labels are called. */
const LABEL_NAMES = ['labels', 'label', 'y', 'target', 'targets'];

/** The target that is called `wanted`, or as labels are, or is the only one. */
export function targetName(
  targets: ReadonlyMap<string, unknown>,
  wanted?: string,
): string | undefined {
  const names = [...(wanted === undefined ? [] : [wanted]), ...LABEL_NAMES];
  const only = targets.size === 1 ? [...targets.keys()][0] : undefined;
  return names.find((name) => targets.has(name)) ?? only;
}

/** The target of the samples with these numbers, [samples.length, …shape]. */
export function targetOf(spec: TargetSpec, targets: Feeds, samples: readonly number[]): Tensor {
  const count = samples.length;
  const name = targetName(targets, spec.name);
  const found = targets.get(name ?? '');
  if (!found) throw targetMissing(spec.name, [...targets.keys()]);
  const size = spec.shape.reduce((a, b) => a * b, 1);
  if (found.size !== count * size) {
    const expected = size === 1 ? 'one number' : `[${spec.shape.join(', ')}]`;
    throw targetShape(name ?? spec.name, expected, `[${found.shape.slice(1).join(', ')}]`);
  }
  const values = Float64Array.from(elementsOf(found) as ArrayLike<number | bigint>, Number);
  const { below, every = 1 } = spec;
  if (below !== undefined) {
    const wrong = values.findIndex((value, i) => i % every === 0 && !isLabel(value, below));
    const sample = samples[Math.floor(wrong / size)];
    if (sample !== undefined) throw labelOutOfRange(values[wrong] as number, below, sample);
  }
  return Tensor.of(spec.dtype, [count, ...spec.shape], values);
}

/** A class, or none: -1 and -100 stand for a sample that is not labelled. */
function isLabel(value: number, below: number): boolean {
  return Number.isInteger(value) && value < below && (value >= 0 || value === -1 || value === -100);
}

/** Labels of classes, one whole number for each of `count` samples; undefined where there are none. */
export function classLabels(targets: Feeds, count: number): number[] | undefined {
  const found = targets.get(targetName(targets) ?? '');
  if (found?.size !== count || found.dtype === 'string') return undefined;
  const labels = Array.from(elementsOf(found) as ArrayLike<number | bigint>, Number);
  return labels.every(Number.isInteger) ? labels : undefined;
}
