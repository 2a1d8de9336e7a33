// Samples that cannot be used: an error, or with --skip-bad counted, named and left out.

import { XformError } from '../errors/error.ts';

/** Of those that are left out, so many are kept by name; all are counted. */
const KEPT = 100;
/** Of those, so many stand in a summary. */
const NAMED = 5;

export interface BadSample {
  /** File, line, row. */
  readonly where: string;
  readonly message: string;
}

export class BadSamples {
  readonly #isSkipped: boolean;
  readonly #kept: BadSample[] = [];
  #count = 0;

  constructor(options: { readonly skipBad?: boolean | undefined }) {
    this.#isSkipped = options.skipBad ?? false;
  }

  /** Throws the error where bad samples are not skipped; what is no XformError is thrown in any case. */
  add(error: unknown): void {
    if (!this.#isSkipped || !(error instanceof XformError)) throw error;
    this.#count += 1;
    if (this.#kept.length < KEPT) {
      this.#kept.push({ where: error.where ?? '', message: error.message });
    }
  }

  get count(): number {
    return this.#count;
  }

  /** The first ones. */
  get kept(): readonly BadSample[] {
    return this.#kept;
  }

  /** For the summary of the data; empty where nothing was skipped. */
  get notes(): readonly string[] {
    if (this.#count === 0) return [];
    const named = this.#kept.slice(0, NAMED).map(({ where, message }) => `${where} (${message})`);
    const more = this.#count > named.length ? ', …' : '';
    return [`${this.#count} bad skipped: ${named.join(', ')}${more}`];
  }
}
