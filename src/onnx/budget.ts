// A limit on the number of parts of one model: a few bytes of a hostile file become objects of a few
// hundred, and a file of nothing else would take all memory.

import { modelTooManyParts } from '../errors/model.ts';
import { broken, type Span } from './wire.ts';

/** Nodes, values, names, attributes, entries. The largest real models have some hundred thousand. */
const MAX_PARTS = 2_000_000;
/** Axes of one tensor; numpy stops at 64. */
const MAX_RANK = 255;

export class Budget {
  #left = MAX_PARTS;

  /** Counts one part, which lies at `span`. */
  spend(span: Span): void {
    this.#left -= 1;
    if (this.#left >= 0) return;
    throw modelTooManyParts(MAX_PARTS, `${span.source.label}, byte ${span.start}`);
  }
}

/** Fails for more axes than any tensor has. */
export function checkRank(rank: number, { source, start }: Span): void {
  if (rank > MAX_RANK) throw broken(source, start, `a shape has more than ${MAX_RANK} axes`);
}
