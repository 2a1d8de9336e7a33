// Scales of rounded values: from calibrated ranges, from formulas where the range is known anyhow, or
// those that the model has already. Ranges are asked for once, for everything that any choice of layers
// could need, so that searches over layers calibrate once.

import type { Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import { affineOf, type Range } from '../../tensor/affine.ts';
import type { DType } from '../../tensor/dtype.ts';
import { numbers, scalar } from '../match.ts';
import { Float8 } from './float8.ts';
import type { StaticOptions } from './static.ts';
import type { Scale } from './static-insert.ts';

export type AskRanges = (names: readonly string[]) => Promise<ReadonlyMap<string, Range>>;

export class Ranges {
  readonly #ask: AskRanges;
  readonly #found = new Map<string, Range>();
  readonly #asked = new Set<string>();

  constructor(ask: AskRanges) {
    this.#ask = ask;
  }

  async askFor(values: Iterable<Value>): Promise<void> {
    const names = new Set<string>();
    for (const value of values) {
      if (formulaRange(value)) continue;
      const { name } = rangeSource(value);
      if (!this.#asked.has(name)) names.add(name);
    }
    if (names.size === 0) return;
    for (const name of names) this.#asked.add(name);
    for (const [name, range] of await this.#ask([...names])) this.#found.set(name, range);
  }

  of(value: Value): Range | undefined {
    return formulaRange(value) ?? this.#found.get(rangeSource(value).name);
  }
}

function formulaRange(value: Value): Range | undefined {
  const range = value.producer && quantizeRole(value.producer)?.range;
  return range && { min: range[0], max: range[1] };
}

/** What only changes places has the range that it had before. */
function rangeSource(value: Value): Value {
  let source = value;
  for (;;) {
    const node = source.producer;
    const input = node && quantizeRole(node)?.permutes ? node.inputs[0] : undefined;
    if (!input || constantData(input)) return source;
    source = input;
  }
}

export function makeScale(source: Value, range: Range, options: StaticOptions): Scale {
  const { activations: type, symmetricActivations: symmetric, float8 } = options;
  if (float8) return { source, ...Float8.affine(float8, range), type: float8 };
  return { source, ...affineOf(range, { type, symmetric }), type };
}

/** The scale of a value that was rounded by whoever made the model, if it is of the type asked for. */
export function givenScale(value: Value, type: DType): Scale | undefined {
  const node = value.producer;
  if (node?.op !== 'DequantizeLinear' || !isCodesOf(node, type)) return undefined;
  const scale = scalar(node.input(1));
  const zeroPoint = node.input(2) ? numbers(node.input(2))?.[0] : 0;
  if (scale === undefined || zeroPoint === undefined) return undefined;
  return { source: value, scale, zeroPoint, type };
}

function isCodesOf(node: Node, type: DType): boolean {
  const codes = node.input(0);
  return codes !== undefined && codes.dtype === type && !constantData(codes);
}
