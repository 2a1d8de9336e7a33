// Finding the output and the target that a task is about.

import type { Batch } from '../data/dataset.ts';
import { noSuchOutput, noTarget, unclearOutput } from '../errors/eval.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';

const TARGET_NAMES = ['labels', 'label', 'y', 'target', 'targets'];

/** The output by its name; else the only one that `fits`. */
export function pickOutput(
  outputs: Feeds,
  name: string | undefined,
  fits: (tensor: Tensor) => boolean,
): Tensor {
  if (name !== undefined) {
    const found = outputs.get(name);
    if (!found) throw noSuchOutput(name, [...outputs.keys()]);
    return found;
  }
  const fitting = [...outputs].filter(([, tensor]) => fits(tensor));
  const [first] = fitting;
  if (fitting.length !== 1 || !first) {
    throw unclearOutput(
      [...outputs].map(([key, { dtype, shape }]) => `${key} ${dtype} [${shape.join(', ')}]`),
    );
  }
  return first[1];
}

/** The target with this name, or with one of the names that targets usually have, or the only one. */
export function pickTarget(batch: Batch, task: string, name?: string): Tensor {
  const { targets } = batch;
  const known = [...(name ? [name] : []), ...TARGET_NAMES].find((one) => targets.has(one));
  const only = targets.size === 1 ? [...targets.values()][0] : undefined;
  const found = known === undefined ? only : targets.get(known);
  if (!found) throw noTarget(task, [...targets.keys()]);
  return found;
}

/** Strings, as UTF-8. */
export function textsOf(tensor: Tensor): string[] {
  const decoder = new TextDecoder();
  const found = 'strings' in tensor.source ? tensor.source.strings : [];
  return found.map((bytes) => decoder.decode(bytes));
}

/** Elements as numbers; whole numbers beyond 2^53 do not occur in outputs. */
export function numbersOf(tensor: Tensor): Float64Array {
  return Float64Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);
}

export function isFloatOutput(tensor: Tensor): boolean {
  return isFloat(tensor.dtype);
}

/** Values of the batch without the samples that only fill it up. */
export function rowsOf(tensor: Tensor, count: number): Float64Array {
  const values = numbersOf(tensor);
  const rows = tensor.shape[0] ?? 1;
  return rows > count ? values.subarray(0, (values.length / rows) * count) : values;
}

/** [N, C], with or without axes of size 1 behind. */
export function isClassScores(tensor: Tensor): boolean {
  const [, ...rest] = tensor.shape;
  return isFloatOutput(tensor) && rest.length > 0 && rest.filter((dim) => dim !== 1).length <= 1;
}
