// Axes of convolutions and matrix products. What a product sums over is tied between its operands;
// of a grouped convolution either whole groups go or the same channels of every group, whichever
// leaves more to choose from.

import { constantData } from '../context.ts';
import type { Links } from './link.ts';
import type { ResizeContext } from './resize.ts';
import { broadcastAxes } from './same.ts';

interface Convolution {
  readonly weight?: number;
  readonly bias?: number;
  /** W is [C, M / group …]. */
  readonly transposed?: boolean;
  /** X and Y have their channels last. */
  readonly channelsLast?: boolean;
  /** Inputs [M] that are tied to the output channels like the bias: scales and zero points. */
  readonly perChannel?: readonly number[];
}

interface Sizes {
  readonly group: number;
  /** Channels per group. */
  readonly inputs: number;
  readonly outputs: number;
  /** Groups go as a whole. */
  readonly whole: boolean;
}

function sizesOf(l: Links, weight: number, transposed: boolean): Sizes | undefined {
  const group = l.c.node.int('group', 1);
  const [first, second] = [l.size(weight, 0), l.size(weight, 1)];
  if (first === undefined || second === undefined) return undefined;
  const [inputs, outputs] = transposed
    ? [first / group, second]
    : [second, Math.floor(first / group)];
  return { group, inputs, outputs, whole: group > 1 && group >= Math.max(inputs, outputs) };
}

export function convAxes(options: Convolution = {}): (l: Links) => void {
  const { weight = 1, bias = 2, transposed = false, perChannel = [] } = options;
  return (l) => {
    const sizes = sizesOf(l, weight, transposed);
    if (!sizes) return;
    const channels = options.channelsLast ? -1 : 1;
    const { group, inputs, outputs, whole } = sizes;
    l.join(l.in(0, 0), l.out(0, 0));
    const [into, out] = transposed ? [0, 1] : [1, 0];
    const channelInputs = [bias, ...perChannel].filter((i) => l.rank(i) === 1);
    for (const i of channelInputs) l.join(l.in(i, 0), l.out(0, channels));
    if (whole) {
      l.join(l.in(0, channels, { stride: inputs }), l.out(0, channels, { stride: outputs }));
      if (transposed) l.join(l.in(weight, 0), l.in(0, channels));
      else l.join(l.in(weight, 0), l.out(0, channels));
      return;
    }
    const [inKey, outKey] = group > 1 ? [{ count: inputs }, { count: outputs }] : [];
    const x = l.in(0, channels, inKey);
    const weightIn = transposed ? l.in(weight, into, inKey) : l.in(weight, into);
    const weightOut = transposed ? l.in(weight, out) : l.in(weight, out, outKey);
    l.join(x, weightIn, { sums: true });
    l.join(weightOut, l.out(0, channels, outKey));
  };
}

/** A fused addend has the shape of the result. */
export function fusedConvAxes(l: Links): void {
  convAxes()(l);
  broadcastAxes(l, 3);
}

export function resizeConv(options: Convolution = {}): (r: ResizeContext) => void {
  const { weight = 1, transposed = false, channelsLast = false } = options;
  return (r) => {
    const group = r.node.int('group', 1);
    const channels = r.sizeIn(0, channelsLast ? -1 : 1);
    const perGroup = r.sizeIn(weight, 1);
    const first = r.sizeIn(weight, 0);
    if (group === 1 || channels === undefined || !perGroup || first === undefined) return;
    const before = r.c.shape(0)?.at(channelsLast ? -1 : 1);
    if (typeof before !== 'number') return;
    // Whole groups went where what is left per group is what it was.
    const inputs = transposed ? before / group : perGroup;
    const isWhole = r.c.shape(weight)?.[1] === perGroup && channels % inputs === 0;
    if (isWhole && wholeGroups(r, weight, transposed, group)) r.setInt('group', channels / inputs);
  };
}

function wholeGroups(r: ResizeContext, weight: number, transposed: boolean, group: number) {
  const [first, second] = [r.c.shape(weight)?.[0], r.c.shape(weight)?.[1]];
  if (typeof first !== 'number' || typeof second !== 'number') return false;
  const [inputs, outputs] = transposed ? [first / group, second] : [second, first / group];
  return group >= Math.max(inputs, outputs);
}

interface Product {
  readonly b?: number;
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** The scale of A is that of all its elements together. */
  readonly exact?: false;
}

/** numpy's matmul; the batch axes of two computed operands are heads where they are of attention. */
export function matmulAxes(l: Links, options: Product = {}): void {
  const { b = 1, transA = false, transB = false } = options;
  const [rankA, rankB] = [l.rank(0), l.rank(b)];
  if (rankA === 0 || rankB === 0) return;
  const innerA = transA && rankA > 1 ? -2 : -1;
  const innerB = rankB === 1 || transB ? -1 : -2;
  const traits = options.exact === false ? ({ exact: false } as const) : {};
  l.join(l.in(0, innerA), l.in(b, innerB), { sums: true, ...traits });
  if (rankA > 1) l.join(l.in(0, transA ? -1 : -2), l.out(0, rankB > 1 ? -2 : -1));
  if (rankB > 1) l.join(l.in(b, transB ? -2 : -1), l.out(0, -1));
  // A vector on the other side takes an axis of the result away.
  const missing = (rankA === 1 ? 1 : 0) + (rankB === 1 ? 1 : 0);
  batchAxes(l, 0, b, missing);
  batchAxes(l, b, 0, missing);
}

function batchAxes(l: Links, index: number, other: number, missing: number): void {
  const areComputed = [index, other].every((i) => {
    const value = l.c.node.inputs[i];
    return value && !constantData(value);
  });
  for (let i = 3; i <= l.rank(index); i++) {
    const isHead = areComputed && l.size(index, -i) !== 1;
    l.join(l.in(index, -i), l.out(0, missing - i), isHead ? { heads: true } : {});
  }
}

/** [M], per-tensor or per-column scales and zero points beside the columns of B. */
export function columnAxes(l: Links, inputs: readonly number[]): void {
  for (const i of inputs) if (l.rank(i) === 1) l.join(l.in(i, 0), l.out(0, -1));
}

export function gemmAxes(l: Links, b = 1, c = 2): void {
  const transA = l.c.node.int('transA', 0) !== 0;
  const transB = l.c.node.int('transB', 0) !== 0;
  l.join(l.in(0, transA ? 0 : 1), l.in(b, transB ? 1 : 0), { sums: true });
  l.join(l.in(0, transA ? 1 : 0), l.out(0, 0));
  l.join(l.in(b, transB ? 0 : 1), l.out(0, 1));
  broadcastAxes(l, c);
}

/** Letters that stand once in a term; one that the result lacks is summed over. */
export function einsumAxes(l: Links): void {
  const equation = l.c.node.string('equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  if (right === undefined || equation.includes('.')) return;
  const isRepeated = [...terms, right].some((term) => new Set(term).size !== term.length);
  if (isRepeated) return;
  for (const letter of new Set(left.replaceAll(',', ''))) {
    const ports = terms.flatMap((term, i) => {
      const axis = term.indexOf(letter);
      return axis < 0 ? [] : [l.in(i, axis)];
    });
    const kept = right.indexOf(letter);
    if (kept >= 0) for (const port of ports) l.join(port, l.out(0, kept), batchTrait(ports.length));
    else if (ports.length === 1) l.free(ports[0], { sums: true });
    else for (const port of ports.slice(1)) l.join(ports[0], port, { sums: true });
  }
}

function batchTrait(terms: number) {
  return terms > 1 ? ({ heads: true } as const) : {};
}
