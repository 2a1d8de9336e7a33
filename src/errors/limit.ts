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

/** `--max-drop` that cannot be kept even with every layer left as it was. */
export function dropNotMet(metric: string, drop: number, limit: number): XformError {
  return new XformError({
    kind: 'limit',
    code: 'max-drop',
    message: `${metric} falls by ${drop.toFixed(4)}, and --max-drop allows ${limit}`,
    hint: 'Give more or better calibration data, another --calibrate method, or allow a greater drop.',
  });
}

/** `--max-size` or `--max-latency` that no choice of precisions reaches. */
export function limitOutOfReach(kind: 'bytes' | 'ms', found: number, limit: number): XformError {
  const [flag, digits] = kind === 'bytes' ? ['max-size', 0] : ['max-latency', 3];
  return new XformError({
    kind: 'limit',
    code: flag,
    message: `--${flag} asks for ${limit.toFixed(digits)} ${kind}, and the least there is takes ${found.toFixed(digits)}`,
    hint: 'Ask for less, or let "xform prune" make the model smaller first.',
  });
}

/** A limit on quality, size or time where the model cannot be run. */
export function cannotMeasureLimit(reason: string): XformError {
  return new XformError({
    kind: 'limit',
    code: 'limit-not-measured',
    message: `the limit cannot be kept, because nothing can be measured: ${reason}`,
    hint: 'Leave the limit out to quantise without measuring.',
  });
}

export function mixedNeedsLimit(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'mixed-needs-limit',
    message: 'mode mixed was given no limit to choose by',
    hint: 'Give --max-drop 0.01, --max-size 0.3 or --max-latency 0.5.',
  });
}

/** `--max-drop` that not even the least pruning keeps. */
export function dropOutOfReach(metric: string, drop: number, limit: number): XformError {
  return new XformError({
    kind: 'limit',
    code: 'max-drop',
    message: `${metric} falls by ${drop.toFixed(4)} where the least is removed, and --max-drop allows ${limit}`,
    hint: 'Give more data, --method magnitude, or allow a greater drop; training mends more than any choice of what goes.',
  });
}

/** The measured latency is above what `--target latency` asked for. */
export function latencyNotMet(found: number, wanted: number): XformError {
  return new XformError({
    kind: 'limit',
    code: 'latency-not-met',
    message: `the result takes ${found.toFixed(3)} of the time of the original, and --target asks for ${wanted}`,
    hint: 'Try again on a machine with nothing else to do, or ask for less.',
  });
}
