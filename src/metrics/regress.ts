// Regression and forecasting: errors of numbers. Shares (`mape`, `smape`, `r2`) are fractions, not per cent.

import { notANumber, scoredShapesDiffer } from '../errors/metrics.ts';
import {
  defined,
  type Evaluation,
  type Metrics,
  meanOf,
  type Values,
  weightedMean,
  weightsOf,
} from './evaluation.ts';

interface RegressOptions {
  /**
   * What the seasonal naive forecast errs by on the training data (see `naiveError`), per variable on
   * the last axis: with it there is a MASE.
   */
  readonly naiveErrors?: readonly number[];
}

/** The mean of |y[t] - y[t - season]|: the unit of MASE (Hyndman and Koehler, 2006). */
export function naiveError(series: ArrayLike<number>, season = 1): number {
  let sum = 0;
  for (let t = season; t < series.length; t++) {
    sum += Math.abs((series[t] as number) - (series[t - season] as number));
  }
  return sum / (series.length - season);
}

/** Accumulates predictions and targets, [samples, …], of a regression or a forecast. */
export class Regress {
  readonly #options: RegressOptions;
  #columns = 0;
  #count = 0;
  /** Element by element. */
  #targets: number[] = [];
  #errors: number[] = [];

  constructor(options: RegressOptions = {}) {
    this.#options = options;
  }

  /** @param shape of the predictions: [samples] or [samples, …]; targets are as many */
  add(predictions: ArrayLike<number>, shape: readonly number[], targets: Values): void {
    const rows = shape[0] ?? 1;
    if (rows === 0) return;
    const columns = predictions.length / rows;
    const isKnown = this.#count === 0 || columns === this.#columns;
    if (predictions.length !== targets.length || !isKnown) {
      throw scoredShapesDiffer('regress', ['predictions', shape], ['targets', [targets.length]]);
    }
    this.#columns = columns;
    for (let i = 0; i < predictions.length; i++) {
      const target = Number(targets[i]);
      const error = (predictions[i] as number) - target;
      if (Number.isNaN(error)) throw notANumber('regress', this.#count + Math.floor(i / columns));
      this.#targets.push(target);
      this.#errors.push(error);
    }
    this.#count += rows;
  }

  finish(): Evaluation {
    return new RegressEvaluation(this.#targets, this.#errors, this.#columns, this.#options);
  }
}

class RegressEvaluation implements Evaluation {
  readonly count: number;
  readonly #columns: number;
  readonly #squares: Float64Array;
  /** Targets less the mean of their column: what R² sums stays small. */
  readonly #centred: Float64Array;
  /** Means over the elements of a sample, by metric. */
  readonly #means: Record<'mae' | 'mse' | 'smape', Float64Array>;
  readonly #scaled: Float64Array | undefined;
  /** Of elements whose target is not 0: sums and numbers. */
  readonly #relative: { readonly sums: Float64Array; readonly counts: Float64Array };

  constructor(
    targets: readonly number[],
    errors: readonly number[],
    columns: number,
    { naiveErrors }: RegressOptions,
  ) {
    this.#columns = columns;
    this.count = columns > 0 ? errors.length / columns : 0;
    this.#squares = Float64Array.from(errors, (error) => error * error);
    this.#centred = centre(targets, columns);
    const perSample = (value: (error: number, target: number, at: number) => number) => {
      const sums = new Float64Array(this.count);
      errors.forEach((error, at) => {
        const sample = Math.floor(at / columns);
        sums[sample] = (sums[sample] as number) + value(error, targets[at] as number, at);
      });
      return sums;
    };
    this.#means = {
      mae: perSample((error) => Math.abs(error) / columns),
      mse: perSample((error) => (error * error) / columns),
      smape: perSample((error, target) => symmetric(error, target) / columns),
    };
    this.#scaled =
      naiveErrors &&
      perSample((error, _, at) => {
        return Math.abs(error) / (naiveErrors[at % naiveErrors.length] as number) / columns;
      });
    this.#relative = {
      sums: perSample((error, target) => (target === 0 ? 0 : Math.abs(error / target))),
      counts: perSample((_, target) => (target === 0 ? 0 : 1)),
    };
  }

  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const { mae, mse, smape } = this.#means;
    const { sums, counts } = this.#relative;
    return defined({
      mae: weightedMean(mae, weights),
      rmse: Math.sqrt(weightedMean(mse, weights)),
      mape: weightedMean(sums, weights) / weightedMean(counts, weights),
      smape: weightedMean(smape, weights),
      r2: this.#determination(weights),
      mase: this.#scaled ? weightedMean(this.#scaled, weights) : Number.NaN,
    });
  }

  /** R², the mean over columns whose targets vary. */
  #determination(weights: Float64Array): number {
    const columns = this.#columns;
    const [errors, sums, squares] = [0, 1, 2].map(() => new Float64Array(columns)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    let total = 0;
    for (let sample = 0; sample < this.count; sample++) {
      const weight = weights[sample] as number;
      total += weight;
      if (weight === 0) continue;
      for (let column = 0; column < columns; column++) {
        const at = sample * columns + column;
        const target = this.#centred[at] as number;
        errors[column] = (errors[column] as number) + weight * (this.#squares[at] as number);
        sums[column] = (sums[column] as number) + weight * target;
        squares[column] = (squares[column] as number) + weight * target * target;
      }
    }
    return meanOf(
      errors.map((error, column) => {
        const square = squares[column] as number;
        const variation = square - (sums[column] as number) ** 2 / total;
        // What is left of equal targets by rounding is no variation.
        return variation > 1e-12 * square ? 1 - error / variation : Number.NaN;
      }),
    );
  }
}

/** 2 |error| / (|target| + |prediction|), from 0 to 2; 0 where both are 0. */
function symmetric(error: number, target: number): number {
  return error === 0 ? 0 : (2 * Math.abs(error)) / (Math.abs(target) + Math.abs(target + error));
}

function centre(targets: readonly number[], columns: number): Float64Array {
  const means = new Float64Array(columns);
  const rows = targets.length / columns;
  targets.forEach((target, at) => {
    const column = at % columns;
    means[column] = (means[column] as number) + target / rows;
  });
  return Float64Array.from(targets, (target, at) => target - (means[at % columns] as number));
}
