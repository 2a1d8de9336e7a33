// Rounding with feedback (GPTQ, Frantar et al. 2022, in the form that Chee et al. 2023, QuIP, call
// LDLQ and prove equal): with H = X^T X = U D U^T, U unit upper triangular, weights are rounded one
// input after the other, each with the errors of those before it pushed into it,
// q_k = Q(w_k + sum_j<k (w_j - q_j) U_jk), so that the error of the output X W is small, not that of W.

import {
  type BlockScheme,
  emptyRows,
  fitter,
  type NotFinite,
  type QuantizedRows,
} from './blocks.ts';
import { unitUpperFactor } from './cholesky.ts';

export interface Feedback {
  /** U^T, [width, width], in the order below. */
  readonly lower: Float64Array;
  /** The inputs in the order in which they are rounded. */
  readonly order: Uint32Array;
  /** Weights of a block keep the range they have; otherwise that with the errors before them. */
  readonly isStatic: boolean;
}

/** Outputs that are rounded together: their errors stay in the processor's cache. */
const LANES = 32;
/** Inputs whose errors are pushed on together, where ranges do not say otherwise. */
const BATCH = 32;

export function feedbackRows(
  values: Float32Array,
  rows: number,
  width: number,
  scheme: BlockScheme,
  feedback: Feedback,
): QuantizedRows | NotFinite {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) return { notFinite: bad };
  const result = emptyRows(rows, width, scheme);
  result.codes.fill(0);
  for (let row = 0; row < rows; row += LANES) {
    new Lanes(values, row, Math.min(LANES, rows - row), width, scheme, feedback, result).run();
  }
  fillRest(result, rows, width, scheme.block);
  return result;
}

function fillRest(
  { blocks, codes, zeroPoints }: QuantizedRows,
  rows: number,
  width: number,
  block: number,
) {
  const stride = blocks * block;
  for (let row = 0; row < rows && stride > width; row++) {
    const zero = zeroPoints[(row + 1) * blocks - 1] as number;
    codes.fill(zero, row * stride + width, (row + 1) * stride);
  }
}

/** Some outputs, element k of all of them side by side: [width, lanes]. */
class Lanes {
  /** Weights, in the order of rounding, with the errors so far. */
  readonly #targets: Float64Array;
  readonly #weights: Float64Array;
  readonly #errors: Float64Array;
  readonly #lanes: number;
  readonly #row: number;
  readonly #width: number;
  readonly #scheme: BlockScheme;
  readonly #feedback: Feedback;
  readonly #into: QuantizedRows;

  constructor(
    values: Float32Array,
    row: number,
    lanes: number,
    width: number,
    scheme: BlockScheme,
    feedback: Feedback,
    into: QuantizedRows,
  ) {
    this.#row = row;
    this.#lanes = lanes;
    this.#width = width;
    this.#scheme = scheme;
    this.#feedback = feedback;
    this.#into = into;
    this.#weights = new Float64Array(width * lanes);
    for (let k = 0; k < width; k++) {
      const from = feedback.order[k] as number;
      for (let n = 0; n < lanes; n++) {
        this.#weights[k * lanes + n] = values[(row + n) * width + from] as number;
      }
    }
    this.#targets = this.#weights.slice();
    this.#errors = new Float64Array(width * lanes);
  }

  run(): void {
    const { block } = this.#scheme;
    const { isStatic, order } = this.#feedback;
    const width = this.#width;
    const batch = isStatic ? BATCH : block;
    const places = isStatic ? positions(order) : undefined;
    for (let k = 0; places && k < width; k += block) this.#measure(k, places);
    for (let start = 0; start < width; start += batch) {
      const end = Math.min(width, start + batch);
      for (let k = start; k < end; k++) this.#push(0, start, k);
      if (!isStatic) this.#measureAhead(start, end);
      for (let k = start; k < end; k++) {
        this.#push(start, k, k);
        this.#round(k);
      }
    }
  }

  /** Adds to the target of input k the errors of the inputs from … to. */
  #push(from: number, to: number, k: number): void {
    const { lower } = this.#feedback;
    const [lanes, width, targets, errors] = [this.#lanes, this.#width, this.#targets, this.#errors];
    const t = k * lanes;
    const u = k * width;
    let j = from;
    for (; j + 4 <= to; j += 4) {
      const u0 = lower[u + j] as number;
      const u1 = lower[u + j + 1] as number;
      const u2 = lower[u + j + 2] as number;
      const u3 = lower[u + j + 3] as number;
      const e = j * lanes;
      for (let n = 0; n < lanes; n++) {
        targets[t + n] =
          (targets[t + n] as number) +
          u0 * (errors[e + n] as number) +
          u1 * (errors[e + lanes + n] as number) +
          u2 * (errors[e + 2 * lanes + n] as number) +
          u3 * (errors[e + 3 * lanes + n] as number);
      }
    }
    for (; j < to; j++) {
      const factor = lower[u + j] as number;
      for (let n = 0; n < lanes; n++) {
        targets[t + n] = (targets[t + n] as number) + factor * (errors[j * lanes + n] as number);
      }
    }
  }

  /**
   * The range of a block as its weights would be if nothing of it were rounded: those before push into
   * each of them, and what they move by pushes on.
   */
  #measureAhead(start: number, end: number): void {
    const [lanes, weights, targets, errors] = [
      this.#lanes,
      this.#weights,
      this.#targets,
      this.#errors,
    ];
    const pushed = targets.slice(start * lanes, end * lanes);
    for (let k = start; k < end; k++) {
      this.#push(start, k, k);
      for (let at = k * lanes; at < (k + 1) * lanes; at++) {
        errors[at] = (weights[at] as number) - (targets[at] as number);
      }
    }
    this.#measure(start);
    targets.set(pushed, start * lanes);
  }

  /** Scales and zero points of the block that begins with input k; `places`: where inputs stand. */
  #measure(k: number, places?: Uint32Array): void {
    const { block } = this.#scheme;
    const [lanes, targets, into] = [this.#lanes, this.#targets, this.#into];
    const parametersOf = fitter(this.#scheme);
    const end = Math.min(this.#width, k + block);
    for (let n = 0; n < lanes; n++) {
      let [min, max] = [0, 0];
      for (let i = k; i < end; i++) {
        const x = targets[(places?.[i] ?? i) * lanes + n] as number;
        if (x < min) min = x;
        if (x > max) max = x;
      }
      const { scale, zeroPoint } = parametersOf(min, max);
      const b = (this.#row + n) * into.blocks + k / block;
      into.scales[b] = scale;
      into.zeroPoints[b] = zeroPoint;
    }
  }

  #round(k: number): void {
    const { block, bits } = this.#scheme;
    const into = this.#into;
    const top = 2 ** bits - 1;
    const input = this.#feedback.order[k] as number;
    const inBlock = Math.floor(input / block);
    for (let n = 0; n < this.#lanes; n++) {
      const row = (this.#row + n) * into.blocks;
      const scale = into.scales[row + inBlock] as number;
      const zero = into.zeroPoints[row + inBlock] as number;
      const at = k * this.#lanes + n;
      const x = scale === 0 ? zero : (this.#targets[at] as number) / scale + zero;
      const code = Math.max(0, Math.min(top, Math.floor(x + 0.5)));
      into.codes[row * block + input] = code;
      this.#errors[at] = (this.#weights[at] as number) - scale * (code - zero);
    }
  }
}

/** Where each input stands in an order. */
function positions(order: Uint32Array): Uint32Array {
  const places = new Uint32Array(order.length);
  order.forEach((input, k) => {
    places[input] = k;
  });
  return places;
}

export interface FactorTask {
  /** X^T X, [width, width] */
  readonly gram: Float32Array;
  readonly width: number;
  /** Part of the mean of the diagonal that is added to it. */
  readonly damping: number;
  /** Inputs of the greatest power first; ranges are then those of the weights themselves. */
  readonly byPower: boolean;
}

/** What rounding with feedback needs to know of the inputs; in memory that threads share. */
export function factorGram({ gram, width, damping, byPower }: FactorTask): Feedback {
  const power = Float64Array.from({ length: width }, (_, k) => gram[k * width + k] as number);
  const order = Uint32Array.from(power, (_, k) => k);
  if (byPower) order.sort((a, b) => (power[b] as number) - (power[a] as number) || a - b);
  const mean = power.reduce((sum, x) => sum + x, 0) / width || 1;
  const lower = new Float64Array(new SharedArrayBuffer(8 * width * width));
  // What is left of rounding may make a matrix of low rank indefinite.
  for (let part = damping; ; part *= 10) {
    const matrix = new Float64Array(width * width);
    for (let i = 0; i < width; i++) {
      const from = (order[i] as number) * width;
      for (let j = 0; j < width; j++)
        matrix[i * width + j] = gram[from + (order[j] as number)] as number;
      matrix[i * width + i] = (matrix[i * width + i] as number) + part * mean;
    }
    if (unitUpperFactor(matrix, width, lower)) return { lower, order, isStatic: byPower };
  }
}
