// How noisy gradients are, from the micro-batches of an accumulated one, and what rate a batch that
// averages S of them can bear. With g_i the gradients of S micro-batches and ḡ their mean:
//
//   σ² = (Σ|g_i|² - S|ḡ|²) / (S - 1)    variance of a micro-batch's gradient
//   μ² = |ḡ|² - σ²/S                    square of the true gradient
//
// both averaged over updates with θ = max(1 - S/1000, 0). The gain of AdaScale (Johnson et al. 2020),
// r = (σ² + μ²) / (σ²/S + μ²), is 1 where there is no noise to average away and S where there is
// nothing else. The noise scale (McCandlish et al. 2018) is b·σ²/μ² samples for micro-batches of b.
//
// Gradient descent takes r times the rate of a micro-batch. Optimisers that divide by the size of the
// gradient have part of it already: √(σ²/S + μ²) in place of √(σ² + μ²) is a factor of √r, so that √r
// is left for the rate.

import type { Value } from '../graph/index.ts';
import type { Formula } from './formula.ts';
import type { Slot, StateWriter } from './state.ts';

export interface NoiseState {
  /** Σ|g_i|² of the micro-batches so far. */
  readonly squares: Slot;
  /** Averages of σ² and μ², both with the same bias to zero. */
  readonly variance: Slot;
  readonly signal: Slot;
}

export function noiseState(state: StateWriter): NoiseState {
  const scalar = (name: string) => state.scalar(name, 'float32', 0);
  return { squares: scalar('squares'), variance: scalar('variance'), signal: scalar('signal') };
}

/** What the averages become at the end of S micro-batches; `whole` is |ḡ|². */
export function nextNoise(
  f: Formula,
  { variance, signal }: NoiseState,
  { squares, whole, count }: { squares: Value; whole: Value; count: number },
): { variance: Value; signal: Value } {
  const keep = Math.max(1 - count / 1000, 0);
  const average = (old: Value, now: Value) => f.add(f.mul(old, keep), f.mul(now, 1 - keep));
  const own = f.div(f.sub(squares, f.mul(whole, count)), count - 1);
  const rest = f.sub(whole, f.div(own, count));
  return { variance: average(variance.input, own), signal: average(signal.input, rest) };
}

/** r, from 1 to S. */
export function gainOf(f: Formula, variance: Value, signal: Value, count: number): Value {
  const [noise, rest] = [f.max(variance, TINY), f.max(signal, 0)];
  return f.div(f.add(noise, rest), f.add(f.div(noise, count), rest));
}

const TINY = 1e-30;

/** For reports, as a sum and its count: b·σ² over μ², in samples. */
export function noiseScale(
  f: Formula,
  { variance, signal }: NoiseState,
  samples: number,
): [sum: Value, count: Value] {
  const [noise, rest] = [variance, signal].map((slot) => slot.output ?? slot.input);
  return [f.mul(f.max(noise as Value, 0), samples), f.max(rest as Value, 0)];
}
