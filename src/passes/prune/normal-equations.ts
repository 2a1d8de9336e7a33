// With X [R, width] the inputs that are left of a layer and Y [R, rows] what it gave before:
// min ‖X W - Y‖² + λ‖W - W₀‖², that is W = W₀ + (XᵀX + λI)⁻¹ (XᵀY - XᵀX W₀), on centred X and Y where the
// layer has a bias. Where there are few rows, λ is what comes closest on rows that were held out.

import { factorInPlace } from '../../tensor/cholesky.ts';
import type { Tensor } from '../../tensor/tensor.ts';

export const SUMS = ['xx', 'xy', 'x1', 'y1', 'n'] as const;

/** λ as a share of the mean of the diagonal of XᵀX. */
const DAMPING = 0.01;
/** What is tried where there are few rows; the last leaves the weights as they are. */
const TRIED = [DAMPING, 0.1, 1, 10, Number.POSITIVE_INFINITY];
/** Rows for each input that are not few. */
const MANY = 10;

/** XᵀX, XᵀY, Σx, Σy and the number of rows. */
export class Sums {
  readonly width: number;
  readonly rows: number;
  readonly xx: Float64Array;
  readonly xy: Float64Array;
  readonly x1: Float64Array;
  readonly y1: Float64Array;
  readonly n = new Float64Array(1);

  constructor(width: number, rows: number) {
    this.width = width;
    this.rows = rows;
    this.xx = new Float64Array(width * width);
    this.xy = new Float64Array(width * rows);
    this.x1 = new Float64Array(width);
    this.y1 = new Float64Array(rows);
  }

  add(found: ReadonlyMap<string, Tensor>): void {
    for (const name of SUMS) addTo(this[name], found.get(name)?.values() as ArrayLike<number>);
  }

  /** Both together. */
  plus(other: Sums): Sums {
    const all = new Sums(this.width, this.rows);
    for (const name of SUMS) for (const one of [this, other]) addTo(all[name], one[name]);
    return all;
  }
}

function addTo(sum: Float64Array, values: ArrayLike<number | bigint>): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + Number(values[i]);
}

export interface Solution {
  /** [rows, width] */
  readonly w: Float32Array;
  /** What is to be added to the products, [rows]: for layers with a bias. */
  readonly levels?: Float64Array | undefined;
}

/** Undefined where nothing comes closer than the weights as they are. */
export function solve(
  [fitted, held]: readonly [Sums, Sums],
  w0: Float32Array,
  hasBias: boolean,
): Solution | undefined {
  const all = fitted.plus(held);
  const count = all.n[0] as number;
  if (count === 0) return undefined;
  const isMany = count >= MANY * all.width || (held.n[0] as number) === 0;
  const damping = isMany ? DAMPING : chosenDamping(fitted, held, w0, hasBias);
  return damping === undefined ? undefined : solveRidge(all, w0, hasBias, damping);
}

function chosenDamping(
  fitted: Sums,
  held: Sums,
  w0: Float32Array,
  hasBias: boolean,
): number | undefined {
  let best: { damping: number | undefined; error: number } = {
    damping: undefined,
    error: hasBias ? Number.POSITIVE_INFINITY : errorOf(held, { w: w0 }),
  };
  for (const damping of hasBias ? TRIED : TRIED.filter(Number.isFinite)) {
    const solution = solveRidge(fitted, w0, hasBias, damping);
    const error = solution ? errorOf(held, solution) : Number.POSITIVE_INFINITY;
    if (error < best.error) best = { damping, error };
  }
  return best.damping;
}

/** ‖X W + level - Y‖² less ‖Y‖². */
function errorOf({ xx, xy, x1, y1, n, width, rows }: Sums, { w, levels }: Solution): number {
  let error = 0;
  for (let r = 0; r < rows; r++) {
    const own = w.subarray(r * width, (r + 1) * width);
    const level = levels?.[r] ?? 0;
    error += level * (level * (n[0] as number) - 2 * (y1[r] as number));
    for (let k = 0; k < width; k++) {
      const row = k * width;
      let sum = 2 * level * (x1[k] as number) - 2 * (xy[k * rows + r] as number);
      for (let j = 0; j < width; j++) sum += (xx[row + j] as number) * (own[j] as number);
      error += sum * (own[k] as number);
    }
  }
  return error;
}

function solveRidge(
  { xx, xy, x1, y1, n, width, rows }: Sums,
  w0: Float32Array,
  hasBias: boolean,
  damping: number,
): Solution | undefined {
  const count = n[0] as number;
  const w = w0.slice();
  const [h, target] = [xx.slice(), xy.slice()];
  if (hasBias) centre(h, target, x1, y1, count);
  if (Number.isFinite(damping)) {
    subtractFitted(target, h, w, width, rows);
    let mean = 0;
    for (let k = 0; k < width; k++) mean += (h[k * width + k] as number) / width;
    for (let k = 0; k < width; k++) {
      h[k * width + k] = (h[k * width + k] as number) + damping * mean + 1e-12;
    }
    if (!factorInPlace(h, width)) return undefined;
    for (let r = 0; r < rows; r++) {
      const change = backSolve(h, target, r, width, rows);
      for (let k = 0; k < width; k++) {
        w[r * width + k] = (w[r * width + k] as number) + (change[k] as number);
      }
    }
  }
  if (!hasBias) return { w };
  const levels = Float64Array.from({ length: rows }, (_, r) => {
    let level = (y1[r] as number) / count;
    for (let k = 0; k < width; k++) {
      level -= ((x1[k] as number) / count) * (w[r * width + k] as number);
    }
    return level;
  });
  return { w, levels };
}

function centre(
  xx: Float64Array,
  xy: Float64Array,
  x1: Float64Array,
  y1: Float64Array,
  count: number,
): void {
  const [width, rows] = [x1.length, y1.length];
  for (let k = 0; k < width; k++) {
    const mean = (x1[k] as number) / count;
    for (let j = 0; j < width; j++) {
      xx[k * width + j] = (xx[k * width + j] as number) - mean * (x1[j] as number);
    }
    for (let r = 0; r < rows; r++) {
      xy[k * rows + r] = (xy[k * rows + r] as number) - mean * (y1[r] as number);
    }
  }
}

/** XᵀY - XᵀX W₀ in the place of XᵀY, [width, rows]. */
function subtractFitted(
  xy: Float64Array,
  xx: Float64Array,
  w: Float32Array,
  width: number,
  rows: number,
): void {
  for (let k = 0; k < width; k++) {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let j = 0; j < width; j++) {
        sum += (xx[k * width + j] as number) * (w[r * width + j] as number);
      }
      xy[k * rows + r] = (xy[k * rows + r] as number) - sum;
    }
  }
}

/** Solves L Lᵀ z = column r. */
function backSolve(
  lower: Float64Array,
  right: Float64Array,
  r: number,
  width: number,
  rows: number,
): Float64Array {
  const z = new Float64Array(width);
  for (let k = 0; k < width; k++) {
    let value = right[k * rows + r] as number;
    for (let j = 0; j < k; j++) value -= (lower[k * width + j] as number) * (z[j] as number);
    z[k] = value / (lower[k * width + k] as number);
  }
  for (let k = width - 1; k >= 0; k--) {
    let value = z[k] as number;
    for (let j = k + 1; j < width; j++) {
      value -= (lower[j * width + k] as number) * (z[j] as number);
    }
    z[k] = value / (lower[k * width + k] as number);
  }
  return z;
}
