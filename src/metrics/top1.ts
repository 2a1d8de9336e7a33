// The class with the largest score, per row of [rows, classes].

import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** One row per sample, one column per class. */
export function isScores(tensor: Tensor): boolean {
  return tensor.shape.length === 2 && (tensor.shape[1] ?? 0) > 1 && isFloat(tensor.dtype);
}

export function largestPerRow(tensor: Tensor): number[] {
  const [rows = 0, classes = 0] = tensor.shape;
  const values = elementsOf(tensor);
  return Array.from({ length: rows }, (_, row) => {
    let best = 0;
    for (let i = 1; i < classes; i++) {
      const at = row * classes;
      if (Number(values[at + i]) > Number(values[at + best])) best = i;
    }
    return best;
  });
}
