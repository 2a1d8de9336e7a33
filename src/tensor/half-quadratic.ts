// Half-quadratic quantisation (Badri & Shaji 2023): scale and zero point of a block that make
// |w - s (q - z)|_p small, p < 1, by turns: q by rounding, e by shrinking what is left, then z and s in
// closed form from t = w - s e. Here errors are counted in steps, zero points are whole numbers, as the
// fast kernels want them, and s is the one with <w, s (q - z)> = <w, w>: that of least squares would
// make all weights a little smaller, which adds up over a sum. Of all turns the one with the least
// squared error counts, so that no block comes out worse than by rounding to nearest.

import {
  type BlockScheme,
  emptyRows,
  encodeAny,
  fitter,
  type NotFinite,
  type QuantizedRows,
  scaleRounder,
} from './blocks.ts';

const P = 0.7;
const BETA = 10;
const KAPPA = 1.01;
const TURNS = 20;
/** Turns without gain after which it stops. */
const PATIENCE = 2;

/** |x|^(p - 1) for x in 0 … 4 steps; what is further off is clipped. */
const POWER_STEPS = 256;
const POWERS = Float64Array.from(
  { length: 4 * POWER_STEPS + 1 },
  (_, i) => ((i + 0.5) / POWER_STEPS) ** (P - 1),
);

export function halfQuadraticRows(
  values: Float32Array,
  rows: number,
  width: number,
  scheme: BlockScheme,
): QuantizedRows | NotFinite {
  const { block, bits } = scheme;
  const result = emptyRows(rows, width, scheme);
  const { blocks, codes, scales, zeroPoints } = result;
  const search = new BlockSearch(scheme);
  for (let b = 0; b < rows * blocks; b++) {
    const inRow = (b % blocks) * block;
    const start = Math.floor(b / blocks) * width + inRow;
    const end = start + Math.min(block, width - inRow);
    const bad = search.run(values, start, end);
    if (bad >= 0) return { notFinite: bad };
    const { scale, zeroPoint } = search;
    scales[b] = scale;
    zeroPoints[b] = zeroPoint;
    encodeAny(values, start, end, scale, zeroPoint, bits, codes, b * block);
    codes.fill(zeroPoint, b * block + end - start, (b + 1) * block);
  }
  return result;
}

/** Looks for scale and zero point of one block after the other. */
class BlockSearch {
  scale = 0;
  zeroPoint = 0;
  readonly #top: number;
  readonly #symmetric: boolean;
  readonly #fit: ReturnType<typeof fitter>;
  readonly #round: (scale: number) => number;

  constructor(scheme: BlockScheme) {
    this.#top = 2 ** scheme.bits - 1;
    this.#symmetric = scheme.symmetric;
    this.#fit = fitter(scheme);
    this.#round = scaleRounder(scheme.scaleType);
  }

  /** Returns the index of an element that is not finite, or -1. */
  run(values: Float32Array, start: number, end: number): number {
    let [min, max] = [0, 0];
    for (let i = start; i < end; i++) {
      const x = values[i] as number;
      if (x < min) min = x;
      else if (x > max) max = x;
      else if (!Number.isFinite(x)) return i;
    }
    if (!Number.isFinite(max - min)) return values.indexOf(Number.isFinite(max) ? min : max, start);
    const fitted = this.#fit(min, max);
    this.scale = fitted.scale;
    this.zeroPoint = fitted.zeroPoint;
    if (fitted.scale !== 0) this.#improve(values, start, end);
    return -1;
  }

  #improve(values: Float32Array, start: number, end: number): void {
    let { scale, zeroPoint } = this;
    let best = Number.POSITIVE_INFINITY;
    let idle = 0;
    const sums = { error: 0, q: 0, qq: 0, t: 0, qt: 0, w: 0, ww: 0, qw: 0 };
    for (let turn = 0, shrink = 1 / BETA; turn < TURNS; turn++, shrink /= KAPPA) {
      this.#addUp(values, start, end, scale, zeroPoint, shrink, sums);
      if (sums.error < best * (1 - 1e-6)) {
        best = sums.error;
        idle = 0;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
      } else if (++idle > PATIENCE) return;
      const zero = this.#symmetric ? zeroPoint : this.#zeroPointFor(sums, end - start, scale);
      const product = sums.qw - zero * sums.w;
      const next = product === 0 ? 0 : this.#round(sums.ww / product);
      if (next === 0 || !Number.isFinite(next)) return;
      if (next === scale && zero === zeroPoint) return;
      scale = next;
      zeroPoint = zero;
    }
  }

  /** The squared error with these parameters, and the sums that the next ones follow from. */
  #addUp(
    values: Float32Array,
    start: number,
    end: number,
    scale: number,
    zeroPoint: number,
    shrink: number,
    sums: Sums,
  ): void {
    const top = this.#top;
    const inverse = 1 / scale;
    let [error, sumQ, sumQQ, sumT, sumQT, sumW, sumWW, sumQW] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let i = start; i < end; i++) {
      const w = values[i] as number;
      const x = w * inverse + zeroPoint;
      let q = Math.floor(x + 0.5);
      if (q < 0) q = 0;
      else if (q > top) q = top;
      const rest = x - q;
      error += rest * rest;
      const size = rest < 0 ? -rest : rest;
      const power = size < 4 ? (POWERS[(size * POWER_STEPS) | 0] as number) : 0;
      const left = size - shrink * power;
      const t = left > 0 ? x - (rest < 0 ? -left : left) : x;
      sumQ += q;
      sumQQ += q * q;
      sumT += t;
      sumQT += q * t;
      sumW += w;
      sumWW += w * w;
      sumQW += q * w;
    }
    sums.error = error * scale * scale;
    sums.q = sumQ;
    sums.qq = sumQQ;
    // t was counted in steps from the zero point.
    sums.t = (sumT - zeroPoint * (end - start)) * scale;
    sums.qt = (sumQT - zeroPoint * sumQ) * scale;
    sums.w = sumW;
    sums.ww = sumWW;
    sums.qw = sumQW;
  }

  /** Least squares of t = s (q - z), rounded. */
  #zeroPointFor({ q, qq, t, qt }: Sums, count: number, scale: number): number {
    const spread = qq - (q * q) / count;
    const slope = spread > 0 ? (qt - (q * t) / count) / spread : scale;
    const zero = slope > 0 ? Math.floor((q - t / slope) / count + 0.5) : this.zeroPoint;
    return Math.min(this.#top, Math.max(0, zero));
  }
}

interface Sums {
  error: number;
  q: number;
  qq: number;
  t: number;
  qt: number;
  w: number;
  ww: number;
  qw: number;
}
