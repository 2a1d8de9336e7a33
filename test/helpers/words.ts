// The words of graphs as text, and the types among them; see parse.ts.

import { type Shape, type Type, tensorType, unknownDim } from '../../src/graph/index.ts';
import { parseDim } from '../../src/onnx/parse-dim.ts';
import { DTYPES, type DType } from '../../src/tensor/dtype.ts';

const TOKEN =
  /\s+|#[^\n]*|("(?:[^"\\]|\\.)*"|=>|-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf\b|nan\b)|@?[A-Za-z_][\w.]*|[^\s\w])/y;
const ALIASES: Readonly<Record<string, string>> = { float: 'float32', double: 'float64' };

export function isDType(word: string): boolean {
  return DTYPES.includes((ALIASES[word] ?? word) as DType);
}

/** Reads one word after the other. */
export class Words {
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(text: string) {
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const at = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (!match) throw new Error(`cannot read ${JSON.stringify(text.slice(at, at + 30))}`);
      if (match[1] !== undefined) this.#tokens.push(match[1]);
    }
  }

  peek(ahead = 0): string | undefined {
    return this.#tokens[this.#at + ahead];
  }

  next(expected?: string): string {
    const token = this.#tokens[this.#at];
    if (token === undefined || (expected !== undefined && token !== expected)) {
      const around = this.#tokens.slice(Math.max(0, this.#at - 6), this.#at + 3).join(' ');
      throw new Error(
        `expected ${expected ?? 'more'} but found ${token ?? 'the end'} in: ${around}`,
      );
    }
    this.#at += 1;
    return token;
  }

  take(token: string): boolean {
    if (this.peek() !== token) return false;
    this.#at += 1;
    return true;
  }

  /** Items between two tokens, separated by commas. */
  list<T>(open: string, close: string, item: () => T): T[] {
    const items: T[] = [];
    this.next(open);
    while (!this.take(close)) {
      items.push(item());
      if (this.peek() !== close) this.next(',');
    }
    return items;
  }

  name(): string {
    const token = this.next();
    return token.startsWith('"') ? (JSON.parse(token) as string) : token;
  }

  type(): Type | undefined {
    const word = this.peek() ?? '';
    if (['seq', 'optional', 'map'].includes(word) && this.peek(1) === '(') return this.#container();
    const dtype = ALIASES[word] ?? word;
    if (!DTYPES.includes(dtype as DType)) return undefined;
    this.next();
    if (this.peek() !== '[') return tensorType(dtype as DType, []);
    const dims = this.#dims();
    return tensorType(dtype as DType, dims.length > 0 ? dims : undefined);
  }

  #container(): Type {
    const word = this.next();
    this.next('(');
    if (word === 'map') {
      const key = this.next() as DType;
      this.next(',');
      const value = this.type();
      this.next(')');
      return { kind: 'map', key, value };
    }
    const element = this.type();
    this.next(')');
    return { kind: word === 'seq' ? 'sequence' : 'optional', element };
  }

  /** Sizes are expressions: everything up to the comma or bracket. */
  #dims(): Shape {
    return this.list('[', ']', () => {
      let text = '';
      for (let depth = 0; ; ) {
        const token = this.peek() ?? ']';
        if (depth === 0 && (token === ',' || token === ']')) break;
        if (token === '(') depth += 1;
        if (token === ')') depth -= 1;
        text += this.next();
      }
      if (/^-?\d+$/.test(text)) return Number(text);
      return text === '?' ? unknownDim() : parseDim(text);
    });
  }
}
