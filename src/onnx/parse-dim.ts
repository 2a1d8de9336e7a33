// Symbolic sizes from their text: `batch`, `past + 1`, `batch*12`, `floor((h + 1)/2)`, `Max(1, n)`, as
// onnxruntime's and PyTorch's exporters write them. What is none of these is one symbol.

import {
  add,
  ceilDiv,
  type Dim,
  divideExactly,
  floorDiv,
  max,
  min,
  mul,
  symbol,
  unknownDim,
} from '../graph/index.ts';

const TOKEN = /\s*(?:(\d+)|([A-Za-z_][\w.:]*)|(\/\/|[-+*/(),]))/y;
const MAX_TOKENS = 200;

export function parseDim(text: string): Dim {
  // Some exporters write "?" for "unknown": two of these need not be equal.
  if (text === '' || text.includes('?')) return unknownDim();
  if (/^[A-Za-z_]\w*$/.test(text)) return symbol(text);
  const dim = new DimParser(text).parse();
  // A plain number has no place in a parameter, and no size is negative.
  return dim === undefined || typeof dim === 'number' ? symbol(text) : dim;
}

/** A quotient that has not met its floor or ceiling yet. */
interface Quotient {
  readonly by: Dim;
  readonly of: Dim;
}

type Term = Dim | Quotient;

const isQuotient = (term: Term): term is Quotient => typeof term === 'object' && 'by' in term;

class DimParser {
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(text: string) {
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length && this.#tokens.length <= MAX_TOKENS) {
      const match = TOKEN.exec(text);
      if (!match) {
        this.#tokens.length = 0;
        return;
      }
      this.#tokens.push(match[1] ?? match[2] ?? match[3] ?? '');
    }
  }

  /** undefined when the text is no expression of these. */
  parse(): Dim | undefined {
    if (this.#tokens.length === 0 || this.#tokens.length > MAX_TOKENS) return undefined;
    const dim = whole(this.#sum());
    return this.#at === this.#tokens.length ? dim : undefined;
  }

  #take(...tokens: string[]): string | undefined {
    const token = this.#tokens[this.#at];
    if (token === undefined || !tokens.includes(token)) return undefined;
    this.#at += 1;
    return token;
  }

  #sum(): Term | undefined {
    const negative = this.#take('-') !== undefined;
    const first = this.#product();
    let sum = negative ? scale(first, -1) : first;
    for (let sign = this.#take('+', '-'); sign; sign = this.#take('+', '-')) {
      sum = addTerms(sum, scale(this.#product(), sign === '-' ? -1 : 1));
    }
    return sum;
  }

  #product(): Term | undefined {
    let product = this.#atom();
    for (let sign = this.#take('*', '/', '//'); sign; sign = this.#take('*', '/', '//')) {
      const factor = whole(this.#atom());
      if (factor === undefined || product === undefined) return undefined;
      if (sign === '*') product = scale(product, factor);
      else if (sign === '//') product = mapWhole(product, (dim) => floorDiv(dim, factor));
      else product = divide(product, factor);
    }
    return product;
  }

  #atom(): Term | undefined {
    if (this.#take('(')) {
      const inner = this.#sum();
      return this.#take(')') ? inner : undefined;
    }
    const token = this.#tokens[this.#at] ?? '';
    if (!/^\w/.test(token)) return undefined;
    this.#at += 1;
    if (/^\d/.test(token)) return Number(token);
    return this.#take('(') ? this.#call(token.toLowerCase()) : symbol(token);
  }

  #call(name: string): Dim | undefined {
    const args = [this.#sum()];
    while (this.#take(',')) args.push(this.#sum());
    if (!this.#take(')')) return undefined;
    const [first] = args;
    if (name === 'floor' && args.length === 1) return rounded(first, floorDiv);
    if ((name === 'ceiling' || name === 'ceil') && args.length === 1)
      return rounded(first, ceilDiv);
    if (name !== 'min' && name !== 'max') return undefined;
    const dims = args.map(whole);
    return dims.reduce((a, b) =>
      a === undefined || b === undefined ? undefined : name === 'min' ? min(a, b) : max(a, b),
    );
  }
}

/** A term outside of any floor has to divide exactly. */
function whole(term: Term | undefined): Dim | undefined {
  return term !== undefined && isQuotient(term) ? divideExactly(term.of, term.by) : term;
}

function mapWhole(term: Term, map: (dim: Dim) => Dim): Dim | undefined {
  const dim = whole(term);
  return dim === undefined ? undefined : map(dim);
}

function rounded(term: Term | undefined, round: (a: Dim, b: Dim) => Dim): Dim | undefined {
  if (term === undefined) return undefined;
  return isQuotient(term) ? round(term.of, term.by) : term;
}

function divide(term: Term, by: Dim): Quotient | undefined {
  if (by === 0) return undefined;
  return isQuotient(term) ? { of: term.of, by: mul(term.by, by) } : { of: term, by };
}

function scale(term: Term | undefined, factor: Dim): Term | undefined {
  if (term === undefined) return undefined;
  return isQuotient(term) ? { of: mul(term.of, factor), by: term.by } : mul(term, factor);
}

function addTerms(a: Term | undefined, b: Term | undefined): Term | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (!isQuotient(a) && !isQuotient(b)) return add(a, b);
  const [p, q] = [asQuotient(a), asQuotient(b)];
  return { of: add(mul(p.of, q.by), mul(q.of, p.by)), by: mul(p.by, q.by) };
}

function asQuotient(term: Term): Quotient {
  return isQuotient(term) ? term : { of: term, by: 1 };
}
