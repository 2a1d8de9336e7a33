// What a BatchNormalization with constant statistics does to each channel: a scale and a shift.

import type { Node } from '../graph/index.ts';
import { isOutput, numbers } from './match.ts';
import { type Skip, skip } from './pass.ts';

export interface Normalization {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** Scale and shift of a BatchNormalization whose statistics are constant, or why there are none. */
export function normalization(node: Node, opset: number): Normalization | Skip {
  if (node.int('training_mode', 0) === 1) return skip('it is in training mode');
  if (opset < 7 && node.int('is_test', 0) === 0) return skip('it is in training mode');
  if (node.int('spatial', 1) === 0) return skip('its statistics are per position');
  if (node.outputs.slice(1).some((v) => v.uses.length > 0 || isOutput(v))) {
    return skip('its statistics are read');
  }
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => numbers(node.input(i)));
  if (!gamma || !beta || !mean || !variance) return skip('its statistics are not constant');
  const epsilon = node.float('epsilon', 1e-5);
  const scale = Float64Array.from(
    gamma,
    (g, c) => g / Math.sqrt((variance[c] as number) + epsilon),
  );
  const shift = scale.map((s, c) => (beta[c] as number) - (mean[c] as number) * s);
  if (!scale.every(Number.isFinite) || !shift.every(Number.isFinite)) {
    return skip('its statistics are not finite');
  }
  return { scale, shift };
}
