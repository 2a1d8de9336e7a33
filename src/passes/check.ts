// Whether a rewritten model is still the same function: outputs on the same inputs, within the error
// of reordered arithmetic in the type that computes.

import { allGraphs, type Model } from '../graph/index.ts';
import { compareTensors, type Tolerance } from '../tensor/compare.ts';
import type { DType } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Runner } from './pass.ts';

/** What is wrong with a model; undefined when it computes what the original does. */
export type Check = (model: Model) => Promise<string | undefined>;

const FLOAT32: Tolerance = { rtol: 1e-3, atol: 1e-5 };
/** 10 bits of mantissa, and sums in another order. */
const HALF: Tolerance = { rtol: 2e-2, atol: 1e-2 };

const PATIENCE_MS = 500;

/** Runs the original once on each set of inputs. Throws what the runner throws. */
export async function makeCheck(
  original: Model,
  run: Runner,
  samples: readonly Feeds[],
  tolerance?: Tolerance,
): Promise<Check> {
  const expected: [Feeds, Feeds][] = [];
  const started = performance.now();
  for (const feeds of samples) {
    expected.push([feeds, await run(original, feeds)]);
    // A slow model is run after every pass: one sample of it has to do.
    if (performance.now() - started > PATIENCE_MS) break;
  }
  const scale = tolerance ?? toleranceOf(original);
  return async (model) => {
    for (const [feeds, results] of expected) {
      const problem = await difference(model, run, feeds, results, scale);
      if (problem) return problem;
    }
    return undefined;
  };
}

async function difference(
  model: Model,
  run: Runner,
  feeds: Feeds,
  expected: Feeds,
  tolerance: Tolerance,
): Promise<string | undefined> {
  let actual: Feeds;
  try {
    actual = await run(model, feeds);
  } catch (error) {
    return `it does not run any more: ${error instanceof Error ? error.message : String(error)}`;
  }
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (!other) return `output "${name}" is missing`;
    const found = compareTensors(tensor, other, tolerance);
    if (!found.equal) {
      return (
        found.problem ??
        `output "${name}" differs in ${found.mismatched} of ${found.elements} elements, by up to ${found.maxAbs.toPrecision(3)}`
      );
    }
  }
  return undefined;
}

/** Half precision anywhere inside decides how exact a model can be. */
function toleranceOf(model: Model): Tolerance {
  const half: readonly (DType | undefined)[] = ['float16', 'bfloat16'];
  for (const graph of allGraphs(model)) {
    for (const value of [...graph.initializers, ...graph.inputs]) {
      if (half.includes(value.dtype)) return HALF;
    }
  }
  return FLOAT32;
}
