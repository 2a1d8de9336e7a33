// Single weights set to zero: tensors keep their shapes, and what is won is size after compression.
//
// magnitude: |w| (Han et al. 2015), in each layer, or over all of them (LAMP).
// gradient:  importances that are given: |w·g| or w²·g².
// wanda:     |w| · ‖x‖ of the input, within each output (Sun et al. 2023).
// sparsegpt: see `sparsegpt`.
// nm:        N of M neighbours along the input stay, by any of these.

import type { Model } from '../../../graph/index.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import { byData } from './by-data.ts';
import { byGlobalMagnitude, storeLeast } from './global-magnitude.ts';
import { inputsHidden } from './layer-inputs.ts';
import { amountOf, type SparsifyContext, type SparsifyOptions } from './options.ts';
import { findProducts, type Left, laidOut, type Product, rowsOf } from './products.ts';
import { withoutLeast } from './select.ts';
import { type Sparsified, store, storeLazily } from './store.ts';

export interface SparsifyResult {
  readonly outcomes: readonly Sparsified[];
  readonly left: readonly Left[];
}

/** Edits the model in place. */
export async function sparsify(
  model: Model,
  options: SparsifyOptions,
  context: SparsifyContext,
): Promise<SparsifyResult> {
  const { products, left } = findProducts(model, options);
  const open = products.filter((product) => {
    const reason = whyNot(product, options);
    if (reason) left.push({ node: product.node, reason });
    return !reason;
  });
  const { score, scope, groups } = options;
  const isGlobal = score === 'magnitude' && scope === 'global' && !groups;
  const outcomes = isGlobal
    ? byGlobalMagnitude(model, open, options)
    : score === 'wanda' || score === 'sparsegpt'
      ? await byData(model, open, options, context)
      : await layerByLayer(model, open, options, context);
  return { outcomes, left };
}

function whyNot(product: Product, { groups, score }: SparsifyOptions): string | undefined {
  if (groups && product.width % groups.m !== 0) {
    return `its ${product.width} inputs are no multiple of ${groups.m}`;
  }
  return score === 'wanda' || score === 'sparsegpt' ? inputsHidden(product) : undefined;
}

/** By what weights are, or by importances that are given. */
async function layerByLayer(
  model: Model,
  products: readonly Product[],
  options: SparsifyOptions,
  { importances, keep, progress }: SparsifyContext,
): Promise<Sparsified[]> {
  if (products.length === 0) return [];
  const given =
    options.score === 'gradient'
      ? await importances?.(products.map(({ weight }) => weight))
      : undefined;
  return products.map((product, i) => {
    progress?.(i + 1, products.length);
    const importance = given?.get(product.weight);
    if (!importance) return byMagnitude(model, product, options);
    const data = Tensor.of('float32', product.data.shape, damped(importance, product));
    const kept = withoutLeast(product, rowsOf({ ...product, data }), options);
    return store(model, product, laidOut(product, kept), keep);
  });
}

/** Of weights of which the samples say next to nothing, the small ones go first. */
const DAMPING = 0.01;

function damped(importance: ArrayLike<number>, { data }: Product): Float32Array {
  const w = data.values() as Float32Array;
  let [all, sizes] = [0, 0];
  for (let i = 0; i < w.length; i++) {
    all += importance[i] as number;
    sizes += Math.abs(w[i] as number);
  }
  const part = (DAMPING * (all || 1)) / (sizes || 1);
  return w.map((value, i) => (importance[i] as number) + part * Math.abs(value));
}

function byMagnitude(model: Model, product: Product, options: SparsifyOptions): Sparsified {
  const { size } = product.data;
  const { groups } = options;
  if (!groups) return storeLeast(model, product, Math.floor(amountOf(product, options) * size));
  return storeLazily(model, product, (size * (groups.m - groups.n)) / groups.m, () => {
    const scores = rowsOf(product).map(Math.abs);
    return laidOut(product, withoutLeast(product, scores, options));
  });
}
