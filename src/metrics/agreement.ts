// How far a changed model does what the original did, from 0 to 1, without labels: the share of rows
// with the same largest score for [rows, classes]; of equal elements for integers; for every other
// output what is left of its energy, 1 - ‖actual - expected‖² / ‖expected‖², channel by channel, the
// channels being the shortest axis but the first. Channels of one tensor may live on different scales
// (a detector's boxes in pixels beside its scores from 0 to 1): each is judged on its own, and those
// that hold probabilities together, so that scores which quantisation has wiped out are not hidden
// behind boxes that survived.

import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { isScores, largestPerRow } from './top1.ts';

/** Collects pairs of one output over many batches. */
export class Agreement {
  #rows = 0;
  #same = 0;
  #channels: Channels | undefined;

  add(expected: Tensor, actual: Tensor): void {
    if (expected.shape.join() !== actual.shape.join()) this.#rows += expected.size;
    else if (!isFloat(expected.dtype)) this.#addElements(expected, actual);
    else {
      if (isScores(expected)) this.#addScores(expected, actual);
      this.#addEnergies(expected, actual);
    }
  }

  /** Undefined before anything was added. */
  score(): number | undefined {
    return this.#share ?? this.#channels?.score();
  }

  /** The same without jumps, for the comparison of small changes: energies also of scores. */
  fidelity(): number | undefined {
    return this.#channels?.score() ?? this.#share;
  }

  get #share(): number | undefined {
    return this.#rows > 0 ? this.#same / this.#rows : undefined;
  }

  #addScores(expected: Tensor, actual: Tensor): void {
    const found = largestPerRow(actual);
    const best = largestPerRow(expected);
    this.#rows += best.length;
    this.#same += best.filter((index, row) => index === found[row]).length;
  }

  #addElements(expected: Tensor, actual: Tensor): void {
    if (expected.dtype === 'string') return;
    const [a, b] = [elementsOf(expected), elementsOf(actual)];
    this.#rows += a.length;
    for (let i = 0; i < a.length; i++) if (a[i] === b[i]) this.#same += 1;
  }

  #addEnergies(expected: Tensor, actual: Tensor): void {
    const axis = channelAxis(expected.shape);
    const count = expected.shape[axis] ?? 1;
    const stride = expected.shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
    // Where the number of channels varies from sample to sample, all are one.
    this.#channels ??= new Channels(count);
    const isSame = this.#channels.count === count;
    this.#channels.add(elementsOf(expected), elementsOf(actual), isSame ? stride : Infinity);
  }
}

function channelAxis(shape: readonly number[]): number {
  let best = shape.length - 1;
  for (let axis = best; axis >= 1; axis--) {
    const [dim = 1, smallest = 1] = [shape[axis], shape[best]];
    if (dim > 1 && (dim < smallest || smallest === 1)) best = axis;
  }
  return Math.max(0, best);
}

class Channels {
  readonly count: number;
  readonly #energy: Float64Array;
  readonly #error: Float64Array;
  readonly #low: Float64Array;
  readonly #high: Float64Array;
  /** NaN or an overflow where the original was finite: nothing is left of it. */
  #isBroken = false;

  constructor(count: number) {
    this.count = count;
    this.#energy = new Float64Array(count);
    this.#error = new Float64Array(count);
    this.#low = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    this.#high = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
  }

  /** Elements that follow each other in steps of `stride` belong to one channel after the other. */
  add(
    expected: ArrayLike<number | bigint>,
    actual: ArrayLike<number | bigint>,
    stride: number,
  ): void {
    for (let i = 0; i < expected.length; i++) {
      const channel = Math.floor(i / stride) % this.count;
      const value = Number(expected[i]);
      // What is not finite in the original cannot be agreed with.
      if (!Number.isFinite(value)) continue;
      const difference = Number(actual[i]) - value;
      this.#energy[channel] = (this.#energy[channel] ?? 0) + value * value;
      if (!Number.isFinite(difference)) this.#isBroken = true;
      this.#error[channel] = (this.#error[channel] ?? 0) + difference * difference;
      if (value < (this.#low[channel] ?? 0)) this.#low[channel] = value;
      if (value > (this.#high[channel] ?? 0)) this.#high[channel] = value;
    }
  }

  score(): number {
    if (this.#isBroken) return 0;
    const probabilities = { energy: 0, error: 0, count: 0 };
    const others: number[] = [];
    for (let channel = 0; channel < this.count; channel++) {
      const energy = this.#energy[channel] ?? 0;
      const error = this.#error[channel] ?? 0;
      if ((this.#low[channel] ?? 0) >= 0 && (this.#high[channel] ?? 0) <= 1) {
        probabilities.energy += energy;
        probabilities.error += error;
        probabilities.count += 1;
      } else {
        others.push(kept(energy, error));
      }
    }
    const rest = others.reduce((sum, value) => sum + value, 0) / Math.max(1, others.length);
    const together = kept(probabilities.energy, probabilities.error);
    if (others.length === 0) return together;
    return probabilities.count === 0 ? rest : Math.min(rest, together);
  }
}

function kept(energy: number, error: number): number {
  if (error === 0) return 1;
  return energy > 0 ? Math.max(0, 1 - error / energy) : 0;
}
