// What single weights are pruned by, and with whose help.

import type { Value } from '../../../graph/index.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import type { Loader } from '../../pass.ts';
import type { Pattern } from '../../select.ts';
import type { Observer } from './layer-inputs.ts';
import type { Product } from './products.ts';

export type Score = 'magnitude' | 'gradient' | 'wanda' | 'sparsegpt';

/** `lamp`: w² / Σ v² over all v of the layer that are not less (Lee et al. 2021); or |w| itself. */
export type Normalization = 'lamp' | 'none';

export interface SparsifyOptions {
  readonly score: Score;
  readonly amount: number;
  /** For layers by name; the first pattern that fits counts. */
  readonly amounts: readonly { readonly pattern: Pattern; readonly amount: number }[];
  readonly scope: 'global' | 'layer';
  /** What one ranking of all layers is of: see `ranking`. */
  readonly normalization?: Normalization | undefined;
  /** N of M stay; `amount` is not looked at. */
  readonly groups?: { readonly n: number; readonly m: number } | undefined;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
}

export interface SparsifyContext {
  readonly load: Loader;
  readonly observer?: Observer | undefined;
  /** Importance of each element of weights, for `gradient`. */
  importances?(weights: readonly Value[]): Promise<ReadonlyMap<Value, ArrayLike<number>>>;
  /** The same tensor, wherever it is to be kept until the model is written. */
  keep?(tensor: Tensor): Tensor;
  progress?(done: number, of: number): void;
}

export function amountOf({ node }: Product, { amount, amounts }: SparsifyOptions): number {
  return amounts.find(({ pattern }) => pattern.matches(node))?.amount ?? amount;
}
