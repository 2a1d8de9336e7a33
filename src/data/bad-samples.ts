// Samples that cannot be used: an error, or with --skip-bad counted, named and left out.

import { XformError } from '../errors/error.ts';

const NAMED = 5;

export class BadSamples {
  readonly #isSkipped: boolean;
  readonly #named: string[] = [];
  #count = 0;

  constructor(options: { readonly skipBad?: boolean | undefined }) {
    this.#isSkipped = options.skipBad ?? false;
  }

  /** Throws the error where bad samples are not skipped; what is no XformError is thrown in any case. */
  add(error: unknown): void {
    if (!this.#isSkipped || !(error instanceof XformError)) throw error;
    this.#count += 1;
    if (this.#named.length < NAMED) this.#named.push(`${error.where ?? ''} (${error.message})`);
  }

  /** For the summary of the data; empty where nothing was skipped. */
  get notes(): readonly string[] {
    if (this.#count === 0) return [];
    const more = this.#count > this.#named.length ? ', …' : '';
    return [`${this.#count} bad skipped: ${this.#named.join(', ')}${more}`];
  }
}
