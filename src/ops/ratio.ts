// Sizes that exporters scale in floats: Cast, Mul or Div by a constant, Floor or Ceil, Cast back. What
// lies in between is no integer; it is followed as a fraction of integers. Exact as long as sizes are
// small beside the 2^24 integers that float32 holds.

import {
  add,
  ceilDiv,
  type Dim,
  divideExactly,
  floorDiv,
  mul,
  type Node,
  sub,
  truncDiv,
  type Value,
} from '../graph/index.ts';
import { constantData } from './context.ts';
import type { Elements } from './known.ts';

interface Ratio {
  readonly of: Dim;
  /** Above 0. */
  readonly by: number;
}

type Rounding = 'floor' | 'ceil' | 'truncate' | 'exact';

const ROUNDINGS: Readonly<Record<Rounding, (of: Dim, by: number) => Dim | undefined>> = {
  floor: floorDiv,
  ceil: ceilDiv,
  truncate: truncDiv,
  exact: divideExactly,
};

const MAX_DEPTH = 8;
const MAX_DENOMINATOR = 64;
const MAX_EXACT = 2 ** 24;
const MAX_LENGTH = 16;

/** The elements of a float value once it is rounded; undefined where they do not come from sizes. */
export function roundedElements(
  value: Value | undefined,
  rounding: Exclude<Rounding, 'exact'>,
): Elements | undefined {
  return rounded(ratiosOf(value, 0), rounding);
}

/** What a float Mul, Div, Add or Sub makes of sizes, where that is whole. */
export function wholeResult(node: Node): Elements | undefined {
  return rounded(resultOf(node, 0), 'exact');
}

function rounded(ratios: readonly Ratio[] | undefined, rounding: Rounding): Elements | undefined {
  const dims = ratios?.map(({ of, by }) => ROUNDINGS[rounding](of, by));
  return dims?.every((dim) => dim !== undefined) ? (dims as Dim[]) : undefined;
}

function ratiosOf(value: Value | undefined, depth: number): readonly Ratio[] | undefined {
  if (!value || depth > MAX_DEPTH || (value.shape?.length ?? 2) > 1) return undefined;
  if (value.dtype !== 'float32' && value.dtype !== 'float64') return undefined;
  if (value.known) return value.known.map((of) => ({ of, by: 1 }));
  return constantRatios(value) ?? (value.producer && resultOf(value.producer, depth + 1));
}

function resultOf(node: Node, depth: number): readonly Ratio[] | undefined {
  // From float to float: a plain Cast of integers would have known elements.
  if (node.op === 'Cast' && node.domain === '') return ratiosOf(node.input(0), depth);
  const calculate = node.domain === '' ? CALCULATIONS[node.op] : undefined;
  const a = calculate && ratiosOf(node.input(0), depth);
  const b = a && ratiosOf(node.input(1), depth);
  const length = a?.length === 1 ? b?.length : a?.length;
  if (!calculate || !a || !b || (b.length !== 1 && b.length !== length)) return undefined;
  const ratios = Array.from({ length: length ?? 0 }, (_, i) =>
    calculate(a[a.length === 1 ? 0 : i] as Ratio, b[b.length === 1 ? 0 : i] as Ratio),
  );
  return ratios.every((ratio) => ratio !== undefined) ? (ratios as Ratio[]) : undefined;
}

const CALCULATIONS: Readonly<Record<string, (a: Ratio, b: Ratio) => Ratio | undefined>> = {
  Mul: (a, b) => ({ of: mul(a.of, b.of), by: a.by * b.by }),
  Div: (a, b) =>
    typeof b.of === 'number' && b.of > 0 ? { of: mul(a.of, b.by), by: a.by * b.of } : undefined,
  Add: (a, b) => ({ of: add(mul(a.of, b.by), mul(b.of, a.by)), by: a.by * b.by }),
  Sub: (a, b) => ({ of: sub(mul(a.of, b.by), mul(b.of, a.by)), by: a.by * b.by }),
};

function constantRatios(value: Value): readonly Ratio[] | undefined {
  const data = constantData(value);
  if (!data || data.isDerived || data.size > MAX_LENGTH) return undefined;
  const ratios = data.numbers().map(toRatio);
  return ratios.every((ratio) => ratio !== undefined) ? (ratios as Ratio[]) : undefined;
}

/** 0.5 is 1/2; a third, which no float is, is none. */
function toRatio(number: number): Ratio | undefined {
  for (let by = 1; by <= MAX_DENOMINATOR; by++) {
    const of = number * by;
    if (Number.isInteger(of)) return Math.abs(of) < MAX_EXACT ? { of, by } : undefined;
  }
  return undefined;
}
