// What becomes of a size that Shape or Size reads. As the target of a Reshape it follows a cut at run
// time; as a factor of data (a mean written as sum / size, a scale of attention) a cut changes results.

import type { Node, Value } from '../../graph/index.ts';
import { constantData } from '../context.ts';
import type { Links } from './link.ts';

/** Inputs that take sizes and bounds. */
const SIZE_INPUTS: Readonly<Record<string, readonly number[]>> = {
  Reshape: [1],
  Expand: [1],
  Tile: [1],
  ConstantOfShape: [0],
  Slice: [1, 2, 3, 4],
  Split: [1],
  Pad: [1],
  Resize: [1, 2, 3],
  Upsample: [1],
  Range: [0, 1, 2],
  OneHot: [1],
  Squeeze: [1],
  Unsqueeze: [1],
  TopK: [1],
};

/** More elements than that are no calculation with sizes. */
const SMALL = 16;

/** Looking at a shape binds nothing: at run time it is that of the cut value. */
export function shapeAxes(l: Links): void {
  const { node } = l.c;
  const rank = l.rank(0);
  const given = node.int('start', 0);
  const start = node.op === 'Shape' ? (given < 0 ? given + rank : given) : 0;
  for (let axis = 0; axis < rank; axis++) {
    const isUsed =
      node.op === 'Size'
        ? isFactor(node.output)
        : readersOfElement(node.output, axis - start).some((use) => isFactor(use));
    l.free(l.in(0, axis), isUsed ? { exact: false } : {});
  }
}

/** What is made of one element of a vector of sizes. */
function readersOfElement(sizes: Value, index: number): Value[] {
  const length = sizes.shape?.[0];
  if (typeof length !== 'number') return [sizes];
  const picks = sizes.uses.map(({ node }) => ({ node, picked: pickedBy(node, sizes, length) }));
  if (picks.some(({ picked }) => picked === undefined)) return [sizes];
  return picks.filter(({ picked }) => picked?.includes(index)).map(({ node }) => node.output);
}

/** The elements that a Gather or Slice takes of a vector; undefined for other operators. */
function pickedBy(node: Node, sizes: Value, length: number): number[] | undefined {
  const [from, to] = [numbersOf(node.inputs[1]), numbersOf(node.inputs[2])];
  const place = (i: number) => Math.min(Math.max(i < 0 ? i + length : i, 0), length);
  if (node.inputs[0] !== sizes || !from) return undefined;
  if (node.op === 'Gather') return from.map(place);
  const [start, end] = [from[0], to?.[0]];
  if (node.op !== 'Slice' || node.inputs[4] || start === undefined || end === undefined)
    return undefined;
  return Array.from({ length }, (_, i) => i).slice(place(start), place(end));
}

function numbersOf(value: Value | undefined): number[] | undefined {
  const data = value && constantData(value);
  return data && !data.isDerived && data.size <= SMALL ? data.numbers() : undefined;
}

/** Whether data is calculated with a size, however far behind it. */
function isFactor(size: Value, seen = new Set<Value>()): boolean {
  if (seen.has(size)) return false;
  seen.add(size);
  return size.uses.some(({ node, index }) => {
    if (SIZE_INPUTS[node.op]?.includes(index)) return false;
    if (node.op === 'Shape' || node.op === 'Size') return false;
    if (!node.outputs.every(isSmall)) return true;
    return node.outputs.some((output) => isFactor(output, seen));
  });
}

function isSmall(value: Value): boolean {
  const { shape } = value;
  if (!shape) return false;
  let count = 1;
  for (const dim of shape) count *= typeof dim === 'number' ? dim : SMALL + 1;
  return count <= SMALL;
}
