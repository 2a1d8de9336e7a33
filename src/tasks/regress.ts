// Regression and forecasts: numbers against numbers of the same shape.

import { naiveError, Regress } from '../metrics/regress.ts';
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
      const batches: Parameters<Regress['add']>[] = [];
      return {
        async add(batch, run) {
          const output = pickOutput(await run(batch.feeds), options.output, isFloatOutput);
          const target = pickTarget(batch, name);
          const shape = [batch.count, ...output.shape.slice(1)];
          batches.push([rowsOf(output, batch.count), shape, rowsOf(target, batch.count)]);
        },
        finish() {
          const season = name === 'forecast' ? options.season : undefined;
          const naiveErrors = season === undefined ? undefined : naiveErrorsOf(batches, season);
          const scores = new Regress(naiveErrors ? { naiveErrors } : {});
          for (const batch of batches) scores.add(...batch);
          return scores.finish();
        },
      };
    },
  };
}

/**
 * What "as one season before" errs by per variable of samples [steps, variables] (or [steps]): the
 * targets stand in for the past, which the data does not have.
 */
function naiveErrorsOf(
  batches: readonly Parameters<Regress['add']>[],
  season: number,
): number[] | undefined {
  const [, , steps = 0, variables = 1] = [0, ...(batches[0]?.[1] ?? [])];
  if (steps <= season) return undefined;
  return Array.from({ length: variables }, (_, variable) => {
    let [sum, count] = [0, 0];
    for (const [, [rows = 0], targets] of batches) {
      for (let row = 0; row < rows; row++) {
        const at = row * steps * variables + variable;
        const series = Array.from({ length: steps }, (_unused, t) =>
          Number(targets[at + t * variables]),
        );
        sum += naiveError(series, season);
        count += 1;
      }
    }
    return sum / count;
  });
}
