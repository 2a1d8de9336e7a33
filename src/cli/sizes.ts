// `--set name=value`: fixes symbolic input dimensions in the model itself.

import { usageProblem } from '../errors/usage.ts';
import {
  type Dim,
  isUnknown,
  type Model,
  substitute,
  symbolsOf,
  tensorType,
} from '../graph/index.ts';

/**
 * Puts given sizes into the types of the graph's inputs and outputs. A dimension without a name is
 * addressed as `input.axis`, as in `--set images.0=1`. Throws when a name fits no input.
 */
export function setSizes(model: Model, sizes: ReadonlyMap<string, number>): void {
  if (sizes.size === 0) return;
  checkSizeNames(sizes, setKnownSizes(model, sizes));
}

/** Throws for the first name that is not among the known dimensions. */
export function checkSizeNames(
  sizes: ReadonlyMap<string, number>,
  known: ReadonlySet<string>,
): void {
  for (const name of sizes.keys()) {
    if (known.has(name)) continue;
    throw usageProblem(
      `no input has a dimension "${name}"`,
      known.size > 0
        ? `Dimensions that can be set: ${[...known].join(', ')}.`
        : 'All input dimensions are fixed in the model.',
    );
  }
}

/** The same, where sizes of no input are left out; returns the names of all dimensions. */
export function setKnownSizes(model: Model, sizes: ReadonlyMap<string, number>): Set<string> {
  const known = new Set<string>();
  for (const value of [...model.graph.inputs, ...model.graph.outputs]) {
    if (value.type?.kind !== 'tensor' || !value.type.shape) continue;
    const shape = value.type.shape.map((dim, axis): Dim => {
      const place = `${value.name}.${axis}`;
      if (typeof dim !== 'number') known.add(place);
      for (const name of symbolsOf(dim)) if (!name.startsWith('?')) known.add(name);
      const placed = sizes.get(place);
      if (typeof dim !== 'number' && placed !== undefined) return placed;
      return isUnknown(dim) ? dim : substitute(dim, sizes);
    });
    if (shape.some((dim, i) => dim !== value.shape?.[i])) {
      value.type = tensorType(value.type.dtype, shape);
    }
  }
  return known;
}
