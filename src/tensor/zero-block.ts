// One block of SparseGPT's recurrence: inputs are gone through one after the other, each with the errors
// of those before it, and what goes is set to zero. Outputs do not see each other, so any number of them
// makes a task of its own. Matrices are stored input by input: [inputs, rows].

export interface ZeroBlock {
  /** The first of the block's inputs, and how many it has. */
  readonly from: number;
  readonly size: number;
  /** Outputs [first, last) of `rows` are those of this task. */
  readonly rows: number;
  readonly first: number;
  readonly last: number;
  /** U within the block, [size, size]. */
  readonly upper: Float64Array;
  /** D of the block, [size]. */
  readonly diagonal: Float64Array;
  /** Weights with the errors of all blocks before pushed into them, [size, rows]. */
  readonly targets: Float32Array;
  /** 1: goes, [size, rows]; or how many of so many neighbours stay. */
  readonly goes: Uint8Array | { readonly n: number; readonly m: number };
  /** All weights, [width, rows]: those of the block are replaced by what is left of them. */
  readonly weights: Float32Array;
  /** All errors, [width, rows]: weights as they were less what is left of them. */
  readonly errors: Float32Array;
}

/** Outputs whose errors stay in the processor's cache. */
const LANES = 32;

/** Edits `weights` and `errors` in place: memory that threads share. */
export function zeroBlock(block: ZeroBlock): void {
  for (let first = block.first; first < block.last; first += LANES) {
    new Lanes(block, first, Math.min(LANES, block.last - first)).run();
  }
}

class Lanes {
  readonly #block: ZeroBlock;
  readonly #first: number;
  readonly #lanes: number;
  /** [size, lanes] */
  readonly #targets: Float64Array;
  readonly #errors: Float64Array;
  /** Of N:M, what goes of the M inputs at hand, [M, lanes]. */
  readonly #marks: Uint8Array;

  constructor(block: ZeroBlock, first: number, lanes: number) {
    const { size, rows, targets, goes } = block;
    this.#block = block;
    this.#first = first;
    this.#lanes = lanes;
    this.#targets = new Float64Array(size * lanes);
    for (let k = 0; k < size; k++) {
      const from = k * rows + first;
      this.#targets.set(targets.subarray(from, from + lanes), k * lanes);
    }
    this.#errors = new Float64Array(size * lanes);
    this.#marks = new Uint8Array('m' in goes ? goes.m * lanes : 0);
  }

  run(): void {
    const { size, goes } = this.#block;
    const step = 'm' in goes ? goes.m : 1;
    for (let start = 0; start < size; start += step) {
      const end = Math.min(size, start + step);
      for (let k = start; k < end; k++) this.#push(0, start, k);
      if ('m' in goes) this.#mark(start, goes);
      for (let k = start; k < end; k++) {
        this.#push(start, k, k);
        this.#settle(k, start);
      }
    }
  }

  /** Adds to the target of input k the errors of the inputs from … to. */
  #push(from: number, to: number, k: number): void {
    const { upper, size } = this.#block;
    const [lanes, targets, errors] = [this.#lanes, this.#targets, this.#errors];
    const t = k * lanes;
    let j = from;
    for (; j + 4 <= to; j += 4) {
      const u0 = upper[j * size + k] as number;
      const u1 = upper[(j + 1) * size + k] as number;
      const u2 = upper[(j + 2) * size + k] as number;
      const u3 = upper[(j + 3) * size + k] as number;
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
      const factor = upper[j * size + k] as number;
      for (let n = 0; n < lanes; n++) {
        targets[t + n] = (targets[t + n] as number) + factor * (errors[j * lanes + n] as number);
      }
    }
  }

  /** Of M inputs the least w² D go, all but N; of equal ones the first. */
  #mark(start: number, { n, m }: { readonly n: number; readonly m: number }): void {
    const { diagonal } = this.#block;
    const lanes = this.#lanes;
    const scores = new Float64Array(m);
    this.#marks.fill(0);
    for (let lane = 0; lane < lanes; lane++) {
      for (let k = 0; k < m; k++) {
        const w = this.#targets[(start + k) * lanes + lane] as number;
        scores[k] = w * w * (diagonal[start + k] as number);
      }
      for (let gone = 0; gone < m - n; gone++) {
        let least = -1;
        for (let k = 0; k < m; k++) {
          const isOpen = this.#marks[k * lanes + lane] === 0;
          if (isOpen && (least < 0 || (scores[k] as number) < (scores[least] as number))) least = k;
        }
        this.#marks[least * lanes + lane] = 1;
      }
    }
  }

  #settle(k: number, start: number): void {
    const { from, rows, goes, weights, errors } = this.#block;
    const lanes = this.#lanes;
    const at = (from + k) * rows + this.#first;
    for (let n = 0; n < lanes; n++) {
      const isGone =
        'm' in goes
          ? this.#marks[(k - start) * lanes + n] === 1
          : goes[k * rows + this.#first + n] === 1;
      const left = isGone ? 0 : (this.#targets[k * lanes + n] as number);
      const error = (weights[at + n] as number) - left;
      this.#errors[k * lanes + n] = error;
      weights[at + n] = left;
      errors[at + n] = error;
    }
  }
}
