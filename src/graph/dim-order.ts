// Symbolic dimensions: division with rounding, the smaller and the larger of two. What cannot be
// simplified becomes an opaque atom of `dim.ts` that is computed once the sizes are known.

import {
  add,
  atLeast,
  type Dim,
  divideExactly,
  fromTerms,
  isNonNegative,
  mul,
  opaque,
  type Shape,
  structureOf,
  sub,
  type Term,
  termsOf,
} from './dim.ts';

/** The largest integer not above a / b. */
export function floorDiv(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b) + 0;
  const exact = divideExactly(a, b);
  if (exact !== undefined) return exact;
  if (typeof b === 'number' && b < 0) return floorDiv(mul(a, -1), -b);
  const shared = commonFactor(termsOf(a), termsOf(b));
  if (shared !== 1) return floorDiv(quotient(a, shared), quotient(b, shared));
  if (typeof b === 'number' && typeof a !== 'number') {
    const simpler = simplerFloor(a.terms, b);
    if (simpler !== undefined) return simpler;
  }
  const nonNegative = isNonNegative(a) && isNonNegative(b);
  const leastOfAnySize = nonNegative ? 0 : Number.NEGATIVE_INFINITY;
  const least = typeof b === 'number' ? Math.floor(atLeast(a) / b) : leastOfAnySize;
  return opaque(
    `floor(${grouped(a)}/${divisor(b)})`,
    (f) => floorDiv(f(a), f(b)),
    { nonNegative, least },
    { kind: 'floor', dims: [a, b] },
  );
}

/** The smallest integer not below a / b. */
export function ceilDiv(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.ceil(a / b) + 0;
  if (typeof b === 'number' && b < 0) return ceilDiv(mul(a, -1), -b);
  return floorDiv(sub(add(a, b), 1), b);
}

/**
 * a / b without its fraction, as ONNX divides integers; undefined where the sign of b is not known.
 * Sizes are taken to be at least 1 where that makes it a plain floor: (n - 1) / 2, say.
 */
export function truncDiv(a: Dim, b: Dim): Dim | undefined {
  if (b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return Math.trunc(a / b) + 0;
  const exact = divideExactly(a, b);
  if (exact !== undefined) return exact;
  if (typeof b === 'number' && b < 0) return truncDiv(mul(a, -1), -b);
  if (!isNonNegative(b)) return undefined;
  const negated = mul(a, -1);
  if (atLeast(a) >= 0) return floorDiv(a, b);
  if (atLeast(negated) >= 0) return mul(floorDiv(negated, b), -1);
  return sub(floorDiv(max(a, 0), b), floorDiv(max(negated, 0), b));
}

export function min(a: Dim, b: Dim): Dim {
  return extreme('min', [a, b]);
}

export function max(a: Dim, b: Dim): Dim {
  return extreme('max', [a, b]);
}

function extreme(kind: 'min' | 'max', operands: Shape): Dim {
  const sign = kind === 'min' ? 1 : -1;
  const dims: Dim[] = [];
  for (const dim of operands.flatMap((dim) => partsOf(kind, dim))) {
    if (dims.some((kept) => isNonNegative(mul(sub(dim, kept), sign)))) continue;
    const left = dims.filter((kept) => !isNonNegative(mul(sub(kept, dim), sign)));
    dims.splice(0, dims.length, ...left, dim);
  }
  const [first, ...others] = dims;
  if (first === undefined || others.length === 0) return first ?? 0;
  const leasts = dims.map(atLeast);
  const bounds =
    kind === 'min'
      ? { nonNegative: dims.every(isNonNegative), least: Math.min(...leasts) }
      : { nonNegative: dims.some(isNonNegative), least: Math.max(...leasts) };
  const key = `${kind}(${dims.map(String).sort().join(', ')})`;
  return opaque(key, (f) => extreme(kind, dims.map(f)), bounds, { kind, dims });
}

function partsOf(kind: 'min' | 'max', dim: Dim): Shape {
  const structure = structureOf(dim);
  return structure?.kind === kind ? structure.dims : [dim];
}

/** What divides every term: a number times symbols. */
function commonFactor(a: readonly Term[], b: readonly Term[]): Dim {
  const [only] = b;
  if (b.length !== 1 || only === undefined || a.length === 0) return 1;
  const terms = [...a, ...b];
  const coefficient = terms.reduce((divisor, term) => gcd(divisor, term.coefficient), 0);
  const left = terms.map((term) => term.atoms.map((atom) => atom.key));
  const atoms = only.atoms.filter(({ key }) => {
    if (!left.every((keys) => keys.includes(key))) return false;
    for (const keys of left) keys.splice(keys.indexOf(key), 1);
    return true;
  });
  return fromTerms([{ coefficient, atoms }]);
}

function gcd(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : gcd(b, a % b);
}

/** Divides by what is known to divide it. */
function quotient(dim: Dim, by: Dim): Dim {
  return divideExactly(dim, by) ?? floorDiv(dim, by);
}

/** floor(terms / b) as something shorter, for a number b > 0. */
function simplerFloor(terms: readonly Term[], b: number): Dim | undefined {
  const constant = terms.find((term) => term.atoms.length === 0)?.coefficient ?? 0;
  // Whole multiples of b leave the floor: floor((2n + 5) / 2) = n + 2 + floor(1 / 2).
  const outside = terms.filter((term) => term.atoms.length > 0 && term.coefficient % b === 0);
  const whole = Math.floor(constant / b);
  if (outside.length > 0 || whole !== 0) {
    const inside = terms.filter((term) => term.atoms.length > 0 && !outside.includes(term));
    const moved = outside.map((term) => ({ ...term, coefficient: term.coefficient / b }));
    const rest = add(fromTerms(inside), constant - whole * b);
    return add(add(fromTerms(moved), whole), floorDiv(rest, b));
  }
  const variable = terms.filter((term) => term.atoms.length > 0);
  // floor((g x + r) / (g c)) = floor((x + floor(r / g)) / c)
  const shared = variable.reduce((divisor, term) => gcd(divisor, term.coefficient), b);
  if (shared > 1) {
    const x = quotient(fromTerms(variable), shared);
    return floorDiv(add(x, Math.floor(constant / shared)), b / shared);
  }
  // floor((floor(x / p) + r) / b) = floor((x + r p) / (p b))
  const inner = structureOf(fromTerms(variable));
  const [x, p] = inner?.kind === 'floor' ? inner.dims : [];
  if (x === undefined || typeof p !== 'number' || p <= 0) return undefined;
  return floorDiv(add(x, constant * p), p * b);
}

/** In parentheses where it is a sum, so that what is written can be read again. */
function grouped(dim: Dim): string {
  return termsOf(dim).length > 1 ? `(${dim})` : String(dim);
}

/** A divisor is one factor, or in parentheses. */
function divisor(dim: Dim): string {
  const [term, ...others] = termsOf(dim);
  const isFactor = others.length === 0 && (typeof dim === 'number' || isSingle(term));
  return isFactor ? String(dim) : `(${dim})`;
}

function isSingle(term: Term | undefined): boolean {
  return term?.coefficient === 1 && term.atoms.length === 1;
}
