// The one error users see, and the catalogue of everything it can say. Anything else that is thrown
// is a bug in xform.

export type ErrorKind = 'usage' | 'model' | 'data' | 'limit' | 'provider';

/** Exit codes of the program; anything that is not an XformError exits with 1. */
export const EXIT_CODES: Readonly<Record<ErrorKind, number>> = {
  usage: 2,
  model: 3,
  data: 3,
  limit: 4,
  provider: 5,
};

export interface ErrorParts {
  readonly kind: ErrorKind;
  /** Stable, kebab-case, for programs that read `--json`. */
  readonly code: string;
  /** One sentence: what is wrong, with the user's own words in double quotes; no final period. */
  readonly message: string;
  /** File, node, tensor, line. */
  readonly where?: string;
  /** A full sentence: what to do, and what will follow. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class XformError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly where: string | undefined;
  readonly hint: string | undefined;

  constructor(parts: ErrorParts) {
    super(parts.message, { cause: parts.cause });
    this.name = 'XformError';
    this.kind = parts.kind;
    this.code = parts.code;
    this.where = parts.where;
    this.hint = parts.hint;
  }

  get exitCode(): number {
    return EXIT_CODES[this.kind];
  }
}
