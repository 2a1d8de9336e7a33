// Symbolic dimensions: integer polynomials over named sizes, with floor division, min and max
// (`dim-order.ts`) as opaque atoms. `[batch * 12, seq, 64]` stays exact through Reshape, Concat,
// Slice and Conv. All symbols are sizes, hence integers >= 0.

/** Expressions longer than this are given up: residual networks of unknown sizes double them. */
const MAX_KEY_LENGTH = 400;
const MAX_TERMS = 64;

/** A dimension: a number, or an expression over named sizes. */
export type Dim = number | Sym;
export type Shape = readonly Dim[];

/** What an opaque expression is made of, for those who simplify it. */
export interface Structure {
  readonly kind: 'floor' | 'min' | 'max';
  /** floor: dividend and divisor. */
  readonly dims: Shape;
}

export interface Bounds {
  /** Cannot be below 0 whatever the sizes. */
  readonly nonNegative: boolean;
  /** Cannot be below this when every size is at least 1. */
  readonly least: number;
}

interface Atom extends Bounds {
  readonly key: string;
  /** Rebuilds the atom with its symbols replaced; undefined for a plain symbol. */
  readonly rebuild?: (substitute: (dim: Dim) => Dim) => Dim;
  readonly structure?: Structure | undefined;
}

export interface Term {
  readonly coefficient: number;
  /** Sorted by key; repeated for powers. */
  readonly atoms: readonly Atom[];
}

/** An expression that is not a plain number. Compare with `sameDim`, never with `===`. */
export class Sym {
  /** Canonical text: equal expressions have equal keys. */
  readonly key: string;
  readonly terms: readonly Term[];

  constructor(terms: readonly Term[]) {
    this.terms = terms;
    this.key = terms.map(printTerm).join(' + ').replaceAll('+ -', '- ');
  }

  toString(): string {
    return this.key;
  }
}

/** The size called `name`. */
export function symbol(name: string): Sym {
  return fromAtom({ key: name, nonNegative: true, least: 1 });
}

let unknowns = 0;

/** A size nothing is known about, different from every other. */
export function unknownDim(): Sym {
  unknowns += 1;
  return symbol(`?${unknowns}`);
}

/** An integer nothing is known about, not even its sign, different from every other. */
export function unknownElement(): Sym {
  unknowns += 1;
  return fromAtom({ key: `?${unknowns}`, nonNegative: false, least: Number.NEGATIVE_INFINITY });
}

/** Whether a dimension depends on a size that was neither given nor named in the model. */
export function isUnknown(dim: Dim): boolean {
  return typeof dim !== 'number' && dim.key.includes('?');
}

export function sameDim(a: Dim, b: Dim): boolean {
  return typeof a === 'number' || typeof b === 'number' ? a === b : a.key === b.key;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => sameDim(dim, b[i] as Dim));
}

export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((dim) => typeof dim === 'number');
}

export function add(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  return fromTerms([...termsOf(a), ...termsOf(b)]);
}

export function sub(a: Dim, b: Dim): Dim {
  return add(a, mul(b, -1));
}

export function mul(a: Dim, b: Dim): Dim {
  // `+ 0` turns -0, which is no size, into 0.
  if (typeof a === 'number' && typeof b === 'number') return a * b + 0;
  const terms: Term[] = [];
  for (const x of termsOf(a)) {
    for (const y of termsOf(b)) {
      const atoms = [...x.atoms, ...y.atoms].sort((p, q) => (p.key < q.key ? -1 : 1));
      terms.push({ coefficient: x.coefficient * y.coefficient, atoms });
    }
  }
  return fromTerms(terms);
}

export function product(dims: Shape): Dim {
  return dims.reduce(mul, 1);
}

/** a / b when it is a whole polynomial (b a number or a single term); undefined otherwise. */
export function divideExactly(a: Dim, b: Dim): Dim | undefined {
  if (b === 0) return undefined;
  const divisor = termsOf(b);
  const only = divisor[0];
  if (divisor.length !== 1 || only === undefined) return sameDim(a, b) ? 1 : undefined;
  const terms: Term[] = [];
  for (const term of termsOf(a)) {
    const atoms = [...term.atoms];
    for (const atom of only.atoms) {
      const at = atoms.findIndex((x) => x.key === atom.key);
      if (at < 0) return undefined;
      atoms.splice(at, 1);
    }
    const coefficient = term.coefficient / only.coefficient;
    if (!Number.isInteger(coefficient)) return undefined;
    terms.push({ coefficient, atoms });
  }
  return fromTerms(terms);
}

/**
 * An expression this algebra cannot look into, with the way to recompute it on known sizes; an
 * unknown size when it gets too long.
 */
export function opaque(
  key: string,
  rebuild: (substitute: (dim: Dim) => Dim) => Dim,
  bounds: Bounds,
  structure?: Structure,
): Sym {
  if (key.length > MAX_KEY_LENGTH) return bounds.nonNegative ? unknownDim() : unknownElement();
  return fromAtom({ key, rebuild, ...bounds, structure });
}

/** The structure of a dimension that is one opaque expression and nothing else. */
export function structureOf(dim: Dim): Structure | undefined {
  const [term, ...others] = termsOf(dim);
  const [atom, ...more] = term?.atoms ?? [];
  const isAlone = others.length === 0 && more.length === 0 && term?.coefficient === 1;
  return isAlone ? atom?.structure : undefined;
}

/** Replaces symbols by given sizes and simplifies. */
export function substitute(dim: Dim, sizes: ReadonlyMap<string, Dim>): Dim {
  if (typeof dim === 'number') return dim;
  let sum: Dim = 0;
  for (const term of dim.terms) {
    let value: Dim = term.coefficient;
    for (const atom of term.atoms) {
      const known = sizes.get(atom.key);
      const factor = known ?? atom.rebuild?.((inner) => substitute(inner, sizes));
      value = mul(value, factor ?? fromAtom(atom));
    }
    sum = add(sum, value);
  }
  return sum;
}

/** True when the value cannot be negative whatever the sizes. */
export function isNonNegative(dim: Dim): boolean {
  if (typeof dim === 'number') return dim >= 0;
  return dim.terms.every(
    (term) => term.coefficient >= 0 && term.atoms.every((atom) => atom.nonNegative),
  );
}

/** A bound from below that holds when every size is at least 1; -Infinity: none is known. */
export function atLeast(dim: Dim): number {
  if (typeof dim === 'number') return dim;
  let sum = 0;
  for (const { coefficient, atoms } of dim.terms) {
    const isBounded = coefficient > 0 && atoms.every((atom) => atom.least >= 0);
    if (atoms.length > 0 && !isBounded) return Number.NEGATIVE_INFINITY;
    sum += atoms.reduce((least, atom) => least * atom.least, coefficient);
  }
  return sum;
}

/** The plain symbols of a dimension (`batch` in `floor(batch/2) + 1`). */
export function symbolsOf(dim: Dim): string[] {
  const names = new Set<string>();
  const visit = (d: Dim): Dim => {
    if (typeof d === 'number') return d;
    for (const atom of d.terms.flatMap((term) => term.atoms)) {
      if (atom.rebuild) atom.rebuild(visit);
      else names.add(atom.key);
    }
    return d;
  };
  visit(dim);
  return [...names];
}

/** For people: `batch*12`, and `?` for what is unknown. */
export function printDim(dim: Dim): string {
  return isUnknown(dim) ? '?' : print(dim);
}

export function printShape(shape: Shape | undefined): string {
  return shape === undefined ? '[...]' : `[${shape.map(printDim).join(', ')}]`;
}

function print(dim: Dim): string {
  return String(dim);
}

function fromAtom(atom: Atom): Sym {
  return new Sym([{ coefficient: 1, atoms: [atom] }]);
}

export function termsOf(dim: Dim): readonly Term[] {
  if (typeof dim !== 'number') return dim.terms;
  return dim === 0 ? [] : [{ coefficient: dim, atoms: [] }];
}

function monomial(term: Term): string {
  return term.atoms.map((atom) => atom.key).join('*');
}

function printTerm(term: Term): string {
  if (term.atoms.length === 0) return String(term.coefficient);
  const size = Math.abs(term.coefficient);
  return `${term.coefficient < 0 ? '-' : ''}${monomial(term)}${size === 1 ? '' : `*${size}`}`;
}

/** Collects like terms and orders them, constants last. */
export function fromTerms(terms: readonly Term[]): Dim {
  const sums = new Map<string, Term>();
  for (const term of terms) {
    const key = monomial(term);
    const coefficient = (sums.get(key)?.coefficient ?? 0) + term.coefficient;
    sums.set(key, { coefficient, atoms: term.atoms });
  }
  const kept = [...sums.values()].filter((term) => term.coefficient !== 0);
  if (kept.every((term) => term.atoms.length === 0)) return kept[0]?.coefficient ?? 0;
  if (kept.length > MAX_TERMS) return unknownElement();
  kept.sort((a, b) => {
    if (a.atoms.length !== b.atoms.length) return b.atoms.length - a.atoms.length;
    return monomial(a) < monomial(b) ? -1 : 1;
  });
  return new Sym(kept);
}
