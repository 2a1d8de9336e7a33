// How far two tensors are apart. Tolerance as in NumPy's `allclose`: an element agrees when
// |actual - expected| <= atol + rtol * |expected|. Integers, booleans and strings must be equal.
// NaN agrees with NaN, an infinity with itself.

import { type DType, dtypeInfo, elementCount } from './dtype.ts';
import { elementsOf } from './elements.ts';
import type { Tensor } from './tensor.ts';

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

export interface Comparison {
  /** Same shape, and every element agrees. */
  readonly equal: boolean;
  /** Why elements could not be compared at all; where none could, the measures are NaN. */
  readonly problem?: string | undefined;
  readonly elements: number;
  /** Elements that do not agree. */
  readonly mismatched: number;
  /** Largest and mean |actual - expected| over finite pairs; infinite if only one side is finite. */
  readonly maxAbs: number;
  readonly meanAbs: number;
  /** Largest |actual - expected| / |expected| where |expected| exceeds `atol`. */
  readonly maxRel: number;
  /** Cosine of the angle between the two as vectors; 1 for two zero vectors. Finite pairs only. */
  readonly cosine: number;
  /** Length of the difference as a vector by the length of the expected one. Finite pairs only. */
  readonly relNorm: number;
  /** Pairs that agree in being NaN or the same infinity: no evidence of anything. */
  readonly agreedNonFinite: number;
  /** Pairs of which exactly one is NaN or infinite, or both are but in different ways. */
  readonly nonFinite: number;
  /** Position of the largest difference in the flattened tensor it was found in. */
  readonly worst?: { readonly index: number; readonly expected: string; readonly actual: string };
}

/** Compares two tensors of any type. */
export function compareTensors(expected: Tensor, actual: Tensor, tolerance: Tolerance): Comparison {
  const comparer = new Comparer(tolerance);
  comparer.add(expected, actual);
  return comparer.result();
}

/** Collects the differences of many pairs of tensors (batches of one output) into one result. */
export class Comparer {
  readonly #tolerance: Tolerance;
  #problem: string | undefined;
  #elements = 0;
  /** Those of pairs that could be compared. */
  #compared = 0;
  #mismatched = 0;
  #nonFinite = 0;
  #maxAbs = 0;
  #sumAbs = 0;
  #maxRel = 0;
  #dot = 0;
  #differenceSquares = 0;
  #agreedNonFinite = 0;
  #expectedSquares = 0;
  #actualSquares = 0;
  #worst: { index: number; expected: string; actual: string } | undefined;

  constructor(tolerance: Tolerance) {
    this.#tolerance = tolerance;
  }

  add(expected: Tensor, actual: Tensor): void {
    const problem = whyIncomparable(expected, actual);
    if (problem) {
      this.#problem ??= problem;
      const count = elementCount(expected.shape);
      this.#elements += count;
      this.#mismatched += count;
    } else if (expected.dtype === 'string') {
      this.#addStrings(expected, actual);
    } else if (expected.dtype === actual.dtype && sameBytes(expected, actual)) {
      this.#addSame(expected);
    } else {
      this.#addNumbers(expected, actual);
    }
  }

  result(): Comparison {
    const problem = this.#problem;
    const measures = {
      maxAbs: this.#maxAbs,
      meanAbs: this.#meanAbs(),
      maxRel: this.#maxRel,
      cosine: this.#cosine(),
      relNorm: this.#relNorm(),
    };
    const none = { maxAbs: NaN, meanAbs: NaN, maxRel: NaN, cosine: NaN, relNorm: NaN };
    return {
      equal: this.#mismatched === 0 && problem === undefined,
      ...(problem === undefined ? {} : { problem }),
      elements: this.#elements,
      mismatched: this.#mismatched,
      ...(problem === undefined || this.#compared > 0 ? measures : none),
      agreedNonFinite: this.#agreedNonFinite,
      nonFinite: this.#nonFinite,
      ...(this.#worst ? { worst: this.#worst } : {}),
    };
  }

  #meanAbs(): number {
    const finite = this.#compared - this.#nonFinite - this.#agreedNonFinite;
    return finite > 0 ? this.#sumAbs / finite : 0;
  }

  #cosine(): number {
    const norm = Math.sqrt(this.#expectedSquares) * Math.sqrt(this.#actualSquares);
    if (norm > 0) return Math.min(1, this.#dot / norm);
    return this.#expectedSquares === this.#actualSquares ? 1 : 0;
  }

  #relNorm(): number {
    if (this.#differenceSquares === 0) return 0;
    return Math.sqrt(this.#differenceSquares) / Math.sqrt(this.#expectedSquares);
  }

  #addStrings(expected: Tensor, actual: Tensor): void {
    const left = stringsOf(expected);
    const right = stringsOf(actual);
    this.#elements += left.length;
    this.#compared += left.length;
    left.forEach((bytes, i) => {
      if (Buffer.compare(bytes, right[i] ?? new Uint8Array()) === 0) return;
      this.#mismatched += 1;
      const text = (b: Uint8Array | undefined) => JSON.stringify(new TextDecoder().decode(b));
      this.#worst ??= { index: i, expected: text(bytes), actual: text(right[i]) };
    });
  }

  /** Equal bits: nothing differs, only the norms are still to be summed. */
  #addSame(tensor: Tensor): void {
    const values = elementsOf(tensor);
    this.#elements += tensor.size;
    this.#compared += tensor.size;
    let squares = 0;
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i]);
      if (Number.isFinite(value)) squares += value * value;
      else this.#agreedNonFinite += 1;
    }
    this.#dot += squares;
    this.#expectedSquares += squares;
    this.#actualSquares += squares;
  }

  #addNumbers(expected: Tensor, actual: Tensor): void {
    const left = elementsOf(expected);
    const right = elementsOf(actual);
    const exact = dtypeInfo(expected.dtype).kind !== 'float' && !isComplex(expected.dtype);
    const { rtol, atol } = this.#tolerance;
    this.#elements += left.length;
    this.#compared += left.length;
    for (let i = 0; i < left.length; i++) {
      const a = Number(left[i]);
      const b = Number(right[i]);
      if (!Number.isFinite(a) || !Number.isFinite(b)) {
        if (Object.is(a, b)) this.#agreedNonFinite += 1;
        else this.#unlike(i, a, b);
        continue;
      }
      // 64-bit integers beyond 2^53 can differ where their nearest doubles do not.
      const difference = exact ? Number(difference64(left[i], right[i])) : Math.abs(a - b);
      const size = Math.abs(a);
      this.#dot += a * b;
      this.#expectedSquares += a * a;
      this.#actualSquares += b * b;
      this.#sumAbs += difference;
      this.#differenceSquares += difference * difference;
      if (exact ? difference !== 0 : difference > atol + rtol * size) this.#mismatched += 1;
      if (size > atol && difference > this.#maxRel * size) this.#maxRel = difference / size;
      if (difference > this.#maxAbs) {
        this.#maxAbs = difference;
        this.#worst = { index: i, expected: String(left[i]), actual: String(right[i]) };
      }
    }
  }

  #unlike(index: number, a: number, b: number): void {
    this.#nonFinite += 1;
    this.#mismatched += 1;
    if (this.#maxAbs !== Number.POSITIVE_INFINITY) {
      this.#worst = { index, expected: String(a), actual: String(b) };
    }
    this.#maxAbs = Number.POSITIVE_INFINITY;
    this.#maxRel = Number.POSITIVE_INFINITY;
  }
}

function whyIncomparable(expected: Tensor, actual: Tensor): string | undefined {
  const { shape } = expected;
  const same = shape.length === actual.shape.length && shape.every((d, i) => d === actual.shape[i]);
  if (!same) return `shape [${shape.join(', ')}] against [${actual.shape.join(', ')}]`;
  if (familyOf(expected.dtype) === familyOf(actual.dtype)) return undefined;
  return `type ${expected.dtype} against ${actual.dtype}`;
}

/** Types whose values can be compared with each other, whatever their width. */
function familyOf(dtype: DType): string {
  const { kind } = dtypeInfo(dtype);
  return kind === 'uint' ? 'int' : kind;
}

function isComplex(dtype: DType): boolean {
  return dtypeInfo(dtype).kind === 'complex';
}

function sameBytes(a: Tensor, b: Tensor): boolean {
  return Buffer.compare(a.bytes(), b.bytes()) === 0;
}

function stringsOf(tensor: Tensor): readonly Uint8Array[] {
  return 'strings' in tensor.source ? tensor.source.strings : [];
}

function difference64(a: number | bigint | undefined, b: number | bigint | undefined) {
  if (typeof a !== 'bigint' && typeof b !== 'bigint') return Math.abs(Number(a) - Number(b));
  const difference = BigInt(a ?? 0) - BigInt(b ?? 0);
  return difference < 0n ? -difference : difference;
}
