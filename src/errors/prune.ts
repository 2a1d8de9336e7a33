// What can be wrong with pruning as it was asked for. Exit codes 2 and 3.

import { XformError } from './error.ts';
import { usageProblem } from './usage.ts';

export function badAmount(what: string, amount: number): XformError {
  return usageProblem(
    `"${amount}" is no amount for ${what}: it is the share that goes, from 0 up to but not with 1`,
    'To remove half of the channels, give 0.5.',
  );
}

/** An amount rounds to all units of a group. */
export function leavesNothing(
  group: string,
  units: number,
  amount: number,
  others: number,
): XformError {
  const rest = others > 0 ? `, and as little of ${others} more` : '';
  return usageProblem(
    `an amount of ${amount} would leave nothing of the ${units} units of "${group}"${rest}`,
    'Ask for less, name it in --skip, give it an amount of its own with --amounts, or keep some units of each group with --min-channels 1.',
  );
}

/** Methods that ask for float32 weights. */
const FLOAT_ONLY = new Set([
  ...['magnitude', 'nm', 'gradient', 'wanda', 'sparsegpt'],
  ...['spatial', 'low-rank'],
]);

function wayOut(method: string, reasons: readonly string[]): string {
  if (reasons.some((reason) => reason.includes('no multiple of'))) {
    return 'Choose a --pattern N:M whose M divides the inputs of the layers, such as 2:4.';
  }
  const isStored = reasons.some((reason) => /float|Linear/.test(reason));
  if (FLOAT_ONLY.has(method) && isStored) {
    return 'Prune the model while its weights are float32, before it is quantised or made half precision; --method channel takes any.';
  }
  return FLOAT_ONLY.has(method)
    ? 'Try --method channel.'
    : 'Try --method magnitude, which sets single weights to zero in any float model.';
}

/** Not one group is left after what the user excludes and what the graph holds. */
export function nothingToPrune(
  model: string,
  method: string,
  reasons: readonly string[],
): XformError {
  const list = reasons.length > 0 ? `: ${reasons.slice(0, 3).join('; ')}` : '';
  return new XformError({
    kind: 'model',
    code: 'nothing-to-prune',
    message: `nothing of "${model}" can be pruned by ${method}${list}`,
    hint: wayOut(method, reasons),
  });
}

/** A student of less depth was asked for, and no layer can be left out. */
export function depthStays(model: string, why: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'depth-stays',
    message: `"${model}" stays as deep as it is: ${why}`,
    hint: 'Give --width, or a smaller --depth.',
  });
}

export function targetOutOfReach(target: string, wanted: number, reachable: number): XformError {
  return usageProblem(
    `--target ${target}=${wanted} cannot be met: with all that can be cut, ${reachable.toFixed(3)} of it is left`,
    'Ask for less, or look with --verbose at what holds the other layers.',
  );
}

export function targetUnknown(target: string): XformError {
  return usageProblem(
    `--target ${target} cannot be measured on this model: sizes in it are not known`,
    'Give an --amount, or another target.',
  );
}

/** A criterion or a method that looks at data was given none. */
export function needsData(what: string): XformError {
  return usageProblem(
    `${what} was given no data to look at`,
    'Give some samples with --data, or take --criterion l2, which needs none.',
  );
}

/** A search that times many cuts would train each of them. */
export function latencyWithTraining(): XformError {
  return usageProblem(
    '--train-epochs cannot be joined with --target latency, which tries many cuts',
    'Prune to the latency first, then train the result with "xform train" or "xform distill".',
  );
}

/** An operator without a gradient stands between the weights to score and the loss. */
export function scoresCutOff({ message, where }: XformError): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-gradient',
    message: `scores by gradients cannot be had: ${message}`,
    ...(where ? { where } : {}),
    hint: 'Leave these weights out with --skip, or score by --criterion l2 or activation, or --method magnitude.',
  });
}

/** Weights that are stored as integers have no gradients. */
export function scoresNeedFloat(criterion: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'scores-need-float',
    message: `"${criterion}" needs weights that are floating-point numbers, and those that can be cut are not`,
    hint: 'Prune the model before it is quantised, or take --criterion l2 or activation.',
  });
}
