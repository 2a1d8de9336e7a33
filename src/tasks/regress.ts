// Regression and forecasts: numbers against numbers of the same shape.

import { targetsDoNotFit } from '../errors/eval.ts';
import { RegressScores } from '../metrics/regress.ts';
import { isFloatOutput, pickOutput, pickTarget, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const regress = numbers('regress', ['mae', 'rmse', 'r2', 'mape', 'smape']);
export const forecast = numbers('forecast', ['mae', 'rmse', 'smape', 'mase', 'r2']);

function numbers(name: string, shown: readonly string[]): Task {
  return {
    name,
    main: 'mae',
    shown,
    collector({ options }) {
      let scores: RegressScores | undefined;
      const naive = new NaiveForecast(options.season);
      return {
        async add(batch, run) {
          const output = pickOutput(await run(batch.feeds), options.output, isFloatOutput);
          const target = pickTarget(batch, name);
          const found = rowsOf(output, batch.count);
          const actual = rowsOf(target, batch.count);
          if (found.length !== actual.length) {
            const words = [target, output].map(
              ({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`,
            );
            throw targetsDoNotFit(name, words[0] as string, words[1] as string);
          }
          scores ??= new RegressScores(actual.length / batch.count);
          scores.add(found, actual);
          naive.add(actual, actual.length / batch.count);
        },
        finish() {
          const error = name === 'forecast' ? naive.error() : undefined;
          return (scores ?? new RegressScores(1)).finish({ naiveError: error });
        },
      };
    },
  };
}

/** "As one season before", over the targets of the samples: what MASE is measured in. */
class NaiveForecast {
  readonly #season: number;
  #sum = 0;
  #count = 0;

  constructor(season: number) {
    this.#season = season;
  }

  add(values: Float64Array, width: number): void {
    for (let i = 0; i < values.length; i++) {
      if (i % width < this.#season) continue;
      this.#sum += Math.abs((values[i] as number) - (values[i - this.#season] as number));
      this.#count += 1;
    }
  }

  error(): number | undefined {
    return this.#count > 0 ? this.#sum / this.#count : undefined;
  }
}
