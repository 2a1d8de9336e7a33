// Limits the user set that were not met. Exit code 4.

import { XformError } from './error.ts';

/** A `--fail-if` condition that came true. */
export function conditionMet(condition: string, actual: string, where: string): XformError {
  return new XformError({
    kind: 'limit',
    code: 'fail-if',
    message: `--fail-if "${condition}" came true: ${actual}`,
    where,
  });
}

/** Slower than `--baseline`, beyond what chance explains. */
export function slowerThanBaseline(
  model: string,
  baseline: string,
  ratio: number,
  interval: readonly [number, number],
): XformError {
  const [low, high] = interval.map((x) => x.toFixed(3));
  return new XformError({
    kind: 'limit',
    code: 'slower-than-baseline',
    message: `"${model}" takes ${ratio.toFixed(3)} times as long as "${baseline}" (95% interval ${low} to ${high})`,
    hint: "Allow some loss with --fail-if, as in --fail-if 'ratio>1.1'.",
  });
}
