// What can be wrong with pruning as it was asked for. Exit codes 2 and 3.

import { XformError } from './error.ts';
import { usageProblem } from './usage.ts';

export function badAmount(what: string, amount: number): XformError {
  return usageProblem(
    `"${amount}" is no amount for ${what}: it is the share that goes, from 0 up to but not with 1`,
    'To remove half of the channels, give 0.5.',
  );
}

/** Methods that ask for float32 weights. */
const SINGLE_WEIGHTS = new Set(['magnitude', 'nm', 'gradient', 'wanda', 'sparsegpt']);

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
    hint: SINGLE_WEIGHTS.has(method)
      ? 'Prune the model while its weights are float32, before it is quantised or made half precision.'
      : 'Try --method magnitude, which sets single weights to zero in any model.',
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

/** Weights that are stored as integers have no gradients. */
export function scoresNeedFloat(criterion: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'scores-need-float',
    message: `"${criterion}" needs weights that are floating-point numbers, and those that can be cut are not`,
    hint: 'Prune the model before it is quantised, or take --criterion l2 or activation.',
  });
}
