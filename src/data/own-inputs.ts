// Inputs as the data itself would have them, for looking at it without a model.

import { symbol } from '../graph/index.ts';
import { isImage } from './convert.ts';
import type { InputSpec } from './dataset.ts';
import type { ArraySource } from './source.ts';
import { isTarget } from './targets.ts';

/** Arrays with as many samples as the first, except targets; images become floats, as models take them. */
export function ownInputs(sources: readonly ArraySource[]): InputSpec[] {
  const count = sources[0]?.shape[0];
  return sources
    .filter((source) => !isOwnTarget(source) && source.shape[0] === count)
    .map((source) => {
      const isBytes = source.dtype === 'uint8' || source.dtype === 'uint16';
      const dtype = isBytes && isImage(source) ? 'float32' : source.dtype;
      return { name: source.name, dtype, shape: [symbol('batch'), ...source.shape.slice(1)] };
    });
}

/** What COCO annotations are made into is known by these names. */
function isOwnTarget(source: ArraySource): boolean {
  return isTarget(source) || source.name === 'truth' || source.name === 'placement';
}
