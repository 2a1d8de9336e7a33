// By what data says of the inputs of layers (wanda, sparsegpt), stage by stage: layers of later stages
// see those before them pruned.

import type { Model } from '../../../graph/index.ts';
import { MatrixProducts } from '../../matrix-products.ts';
import { type Hessian, hessianOf } from './hessian.ts';
import { type InputSums, inputsKey, sumInputs } from './layer-inputs.ts';
import { amountOf, type SparsifyContext, type SparsifyOptions } from './options.ts';
import { fromInputs, inputsInto, laidOut, type Product, rowsOf } from './products.ts';
import { markLeast, withoutLeast } from './select.ts';
import { sharedFloats, sparseGpt } from './sparsegpt.ts';
import { stagesOf } from './stages.ts';
import { type Sparsified, store } from './store.ts';

export async function byData(
  model: Model,
  products: readonly Product[],
  options: SparsifyOptions,
  { observer, load, keep, progress }: SparsifyContext,
): Promise<Sparsified[]> {
  if (!observer) throw new Error(`${options.score} needs data`);
  const isHessian = options.score === 'sparsegpt';
  const wanted = isHessian ? 'gram' : 'squares';
  const matrices = new MatrixProducts(load);
  const outcomes: Sparsified[] = [];
  try {
    for (const stage of stagesOf(model, products, wanted)) {
      const seen = await sumInputs(model, stage.products, wanted, observer, load);
      const known = new Map<string, readonly Hessian[]>();
      for (const product of stage.products) {
        const key = inputsKey(product);
        const sums = seen.get(key) as InputSums;
        if (isHessian && !known.has(key)) {
          known.set(key, await hessiansOf(product, sums, matrices));
        }
        const hessians = known.get(key);
        const values = hessians
          ? await bySparseGpt(product, hessians, options, matrices)
          : laidOut(product, withoutLeast(product, wandaScores(product, sums), options));
        outcomes.push(store(model, product, values, keep));
        progress?.(outcomes.length, products.length);
      }
      seen.clear();
      if (stage.frontier) await observer.advance?.(model, stage.frontier);
    }
  } finally {
    await matrices.dispose();
  }
  return outcomes;
}

/** One for each group, in the memory of the sums. */
async function hessiansOf(
  { groups, width }: Product,
  sums: InputSums,
  matrices: MatrixProducts,
): Promise<Hessian[]> {
  const hessians: Hessian[] = [];
  for (let i = 0; i < groups; i++) {
    const gram = sums.subarray(i * width * width, (i + 1) * width * width);
    hessians.push(await hessianOf(gram, width, matrices));
  }
  return hessians;
}

async function bySparseGpt(
  product: Product,
  hessians: readonly Hessian[],
  options: SparsifyOptions,
  matrices: MatrixProducts,
): Promise<Float32Array> {
  const w = sharedFloats(product.data.size);
  inputsInto(product, w);
  const amount = amountOf(product, options);
  const mark = (scores: Float32Array) => {
    const marks = new Uint8Array(scores.length);
    markLeast(scores, 0, scores.length, Math.floor(amount * scores.length), marks);
    return marks;
  };
  await sparseGpt(w, product.rows, hessians, options.groups ?? mark, matrices);
  return fromInputs(product, w);
}

/** |w| · ‖x‖, row by row. */
function wandaScores(product: Product, sums: InputSums): Float32Array {
  const { rows, width, groups } = product;
  const norms = sums.map(Math.sqrt);
  const scores = rowsOf(product);
  for (let r = 0; r < rows; r++) {
    const group = Math.floor((r * groups) / rows) * width;
    for (let k = 0; k < width; k++) {
      const at = r * width + k;
      scores[at] = Math.abs(scores[at] as number) * (norms[group + k] as number);
    }
  }
  return scores;
}
