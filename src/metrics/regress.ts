// Metrics of numbers: regression and forecasts. R² as scikit-learn's r2_score of all outputs, averaged
// evenly; sMAPE with the mean of both sizes below (Makridakis 1993); MASE: Hyndman and Koehler 2006.

import { chosen, defined, type Evaluation } from './evaluation.ts';

export interface RegressOptions {
  /** Mean absolute error of the naive forecast on the past, for MASE. */
  readonly naiveError?: number | undefined;
}

export class RegressScores {
  readonly #width: number;
  readonly #actual: Float64Array[] = [];
  readonly #found: Float64Array[] = [];

  /** Of samples of `width` numbers. */
  constructor(width: number) {
    this.#width = width;
  }

  /** [N, width] each. */
  add(found: ArrayLike<number>, actual: ArrayLike<number>): void {
    const width = this.#width;
    for (let at = 0; at + width <= actual.length; at += width) {
      this.#actual.push(Float64Array.from({ length: width }, (_, i) => Number(actual[at + i])));
      this.#found.push(Float64Array.from({ length: width }, (_, i) => Number(found[at + i])));
    }
  }

  finish({ naiveError }: RegressOptions = {}): Evaluation {
    const width = this.#width;
    const count = this.#actual.length;
    const compute = (given?: ArrayLike<number>) => {
      const samples = chosen(given, count);
      let [absolute, squared, relative, symmetric] = [0, 0, 0, 0];
      const sums = new Float64Array(width);
      const squares = new Float64Array(width);
      const residuals = new Float64Array(width);
      for (let i = 0; i < samples.length; i++) {
        const actual = this.#actual[samples[i] as number] as Float64Array;
        const found = this.#found[samples[i] as number] as Float64Array;
        for (let j = 0; j < width; j++) {
          const [y, z] = [actual[j] as number, found[j] as number];
          const error = Math.abs(y - z);
          absolute += error;
          squared += error * error;
          relative += error / Math.max(Math.abs(y), Number.EPSILON);
          symmetric += error === 0 ? 0 : (2 * error) / (Math.abs(y) + Math.abs(z));
          sums[j] = (sums[j] as number) + y;
          squares[j] = (squares[j] as number) + y * y;
          residuals[j] = (residuals[j] as number) + error * error;
        }
      }
      const n = samples.length * width;
      const spread = Array.from(squares, (square, j) => {
        const sum = sums[j] as number;
        return square - (sum * sum) / samples.length;
      });
      const shares = spread.map((all, j) => 1 - (residuals[j] as number) / all);
      const mae = absolute / n;
      return defined({
        mae,
        rmse: Math.sqrt(squared / n),
        r2: shares.reduce((a, b) => a + b, 0) / width,
        mape: relative / n,
        smape: symmetric / n,
        mase: naiveError === undefined ? undefined : mae / naiveError,
      });
    };
    return { count, compute };
  }
}
