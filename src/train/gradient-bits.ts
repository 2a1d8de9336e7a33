// Gradients in few bits, as they are sent between machines: stochastic rounding keeps their mean, and
// what is rounded away is added to the next gradient (error feedback; Seide et al. 2014, Alistarh et
// al. 2017).

import type { Value } from '../graph/index.ts';
import type { Formula } from './formula.ts';
import { noise } from './noise.ts';

/** The gradient as the other side would see it, and what is left for the next step. */
export function roundGradient(
  f: Formula,
  gradient: Value,
  residue: Value,
  bits: number,
  count: Value,
): { gradient: Value; residue: Value } {
  const whole = f.add(gradient, residue);
  const levels = 2 ** (bits - 1) - 1;
  const largest = f.op('ReduceMax', [f.op('Abs', [whole])], { keepdims: 0 });
  const scale = f.max(f.div(largest, levels), 1e-38);
  const steps = f.op('Floor', [f.add(f.div(whole, scale), noise(f, gradient, count))]);
  const rounded = f.mul(f.max(f.min(steps, levels), -levels), scale);
  return { gradient: rounded, residue: f.sub(whole, rounded) };
}
