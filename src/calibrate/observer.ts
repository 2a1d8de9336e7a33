// What is remembered of one value over all samples: extremes, their moving averages, a histogram.

import type { Range } from '../tensor/affine.ts';
import { Histogram, type HistogramState } from './histogram.ts';

/** Weight of a new batch, as in PyTorch's MovingAverageMinMaxObserver. */
const AVERAGING = 0.01;

export interface ObserverState {
  readonly min: number;
  readonly max: number;
  readonly averageMin: number;
  readonly averageMax: number;
  readonly batches: number;
  readonly histogram?: HistogramState;
}

export class Observer {
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #averageMin = 0;
  #averageMax = 0;
  #batches = 0;
  readonly histogram: Histogram | undefined;

  constructor(withHistogram: boolean, histogram = withHistogram ? new Histogram() : undefined) {
    this.histogram = histogram;
  }

  /** Returns false, and takes nothing in, where the batch holds NaN or infinity. */
  add(values: ArrayLike<number>): boolean {
    if (values.length === 0) return true;
    const { min, max } = extremes(values);
    if (!Number.isFinite(min) || !Number.isFinite(max)) return false;
    this.addExtremes({ min, max });
    this.histogram?.add(values, Math.max(-min, max));
    return true;
  }

  /** Takes in a batch of which only these are known. */
  addExtremes({ min, max }: Range): void {
    const isFirst = this.#batches === 0;
    this.#averageMin = isFirst ? min : this.#averageMin + AVERAGING * (min - this.#averageMin);
    this.#averageMax = isFirst ? max : this.#averageMax + AVERAGING * (max - this.#averageMax);
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
    this.#batches += 1;
  }

  get isEmpty(): boolean {
    return this.#batches === 0;
  }

  get extremes(): Range {
    return { min: this.#min, max: this.#max };
  }

  get averages(): Range {
    return { min: this.#averageMin, max: this.#averageMax };
  }

  save(): ObserverState {
    return {
      min: this.#min,
      max: this.#max,
      averageMin: this.#averageMin,
      averageMax: this.#averageMax,
      batches: this.#batches,
      ...(this.histogram ? { histogram: this.histogram.save() } : {}),
    };
  }

  static load(state: ObserverState): Observer {
    const { histogram } = state;
    const observer = new Observer(false, histogram ? Histogram.load(histogram) : undefined);
    observer.#min = state.min;
    observer.#max = state.max;
    observer.#averageMin = state.averageMin;
    observer.#averageMax = state.averageMax;
    observer.#batches = state.batches;
    return observer;
  }
}

/** NaN anywhere makes both NaN. */
function extremes(values: ArrayLike<number>): Range {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < min) min = value;
    if (value > max) max = value;
    // Comparisons pass NaN by; x * 0 is 0 for every finite x.
    sum += value * 0;
  }
  return sum === 0 ? { min, max } : { min: Number.NaN, max: Number.NaN };
}
