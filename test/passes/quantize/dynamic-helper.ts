// For tests of dynamic quantisation: a text model quantised, what was decided, and its results beside
// those of the float model.

import { checkModel, type Model } from '../../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../../src/onnx/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import { type DynamicOptions, quantizeDynamic } from '../../../src/passes/quantize/dynamic.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { resolveTarget } from '../../../src/targets/target.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { parseModel } from '../../helpers/parse.ts';
import { type ContextParts, contextOf } from './weights-helper.ts';

export const runHere = createRunner({ optimization: 'all', threads: 1 });

export const CPU = resolveTarget('cpu', {
  architecture: 'x64',
  instructionSets: [{ name: 'AVX-512 VNNI', present: true }],
  hasCuda: false,
});

const OPTIONS: DynamicOptions = { weights: 'int8', perChannel: true, format: 'auto' };

export interface Parts extends Omit<ContextParts, 'calibration'> {
  readonly exactProducts?: boolean;
}

/** A copy of the model as it is read back from its file. */
export async function quantized(
  source: string | Model,
  options: Partial<DynamicOptions> = {},
  parts: Parts = {},
) {
  const model = typeof source === 'string' ? parseModel(source) : source.clone();
  inferTypes(model);
  const { context, decided } = contextOf(runHere, { has: CPU.has, ...parts });
  const { exactProducts = true } = parts;
  const target = { ...context.target, exactProducts };
  await quantizeDynamic(model, { ...OPTIONS, ...options }, { ...context, target });
  const problems = checkModel(model);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return { model: decodeModel(await encodeModel(model)), decided };
}

/** All numbers of all results. */
export async function numbersOf(model: Model, feeds: Feeds): Promise<number[]> {
  const results = [...(await runHere(model, feeds)).values()];
  return results.flatMap((tensor) => Array.from(elementsOf(tensor) as Float32Array, Number));
}

/** |quantised - float| / |float| over all results. */
export async function errorBeside(float: string | Model, model: Model, feeds: Feeds) {
  const original = typeof float === 'string' ? parseModel(float) : float.clone();
  inferTypes(original);
  const expected = await numbersOf(original, feeds);
  const actual = await numbersOf(model, feeds);
  if (expected.length !== actual.length) return Number.POSITIVE_INFINITY;
  const norm = (values: number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  return norm(expected.map((x, i) => x - (actual[i] ?? Number.NaN))) / norm(expected);
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? Number.NaN, b[i] ?? Number.NaN];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa === 0 && bb === 0 ? 1 : ab / Math.sqrt(aa * bb);
}
