// Axes of operators that work element by element, or on each position of some axes alone.

import type { Links, LinkTraits } from './link.ts';

/** Every axis of an input is the same axis of an output, but for some. */
export function passAxes(
  l: Links,
  { input = 0, output = 0, except = [] as readonly number[] } = {},
  traits: LinkTraits = {},
): void {
  const rank = l.rank(input);
  const left = new Set(except.map((axis) => (axis < 0 ? axis + rank : axis)));
  for (let axis = 0; axis < rank; axis++) {
    if (!left.has(axis)) l.join(l.in(input, axis), l.out(output, axis), traits);
  }
}

/** Numpy broadcasting: axes are aligned from the end, those of size 1 are not tied. */
export function broadcastAxes(l: Links, input: number, output = 0, traits: LinkTraits = {}): void {
  const rank = l.rank(input);
  for (let i = 1; i <= rank; i++) l.join(l.in(input, -i), l.out(output, -i), traits);
}

/** All inputs broadcast together; before opset 7 the second could begin at an axis of the first. */
export function elementwiseAxes(l: Links): void {
  const { c } = l;
  const start = c.opset < 7 ? c.node.int('axis') : undefined;
  c.node.inputs.forEach((_, i) => {
    if (start !== undefined && i > 0) alignedFrom(l, i, start);
    else broadcastAxes(l, i);
  });
}

function alignedFrom(l: Links, input: number, start: number): void {
  for (let axis = 0; axis < l.rank(input); axis++) {
    l.join(l.in(input, axis), l.out(0, start + axis));
  }
}

/** Input 0 to every output of its rank; other inputs are scalars. */
export function unaryAxes(l: Links): void {
  l.c.node.outputs.forEach((_, output) => {
    if (l.outRank(output) === l.rank(0)) passAxes(l, { output });
  });
}

/** Before opset 7 the slope [C] belonged to axis 1. */
export function preluAxes(l: Links): void {
  passAxes(l);
  if (l.c.opset < 7 && l.rank(1) === 1) l.join(l.in(1, 0), l.out(0, 1));
  else broadcastAxes(l, 1);
}

/** Softmax and its like: the axis they run along is mixed; before opset 13 all from it on. */
export function alongAxes(l: Links): void {
  const rank = l.rank(0);
  const given = l.c.node.int('axis', l.c.opset >= 13 ? -1 : 1);
  const axis = given < 0 ? given + rank : given;
  const mixed = l.c.opset >= 13 ? [axis] : Array.from({ length: rank - axis }, (_, i) => axis + i);
  passAxes(l, { except: mixed });
}

/** Running sums along an axis that an input says. */
export function cumulativeAxes(l: Links): void {
  const [axis] = l.c.knownNumbers(1) ?? [];
  if (axis !== undefined) passAxes(l, { except: [axis] });
}

/** Works on matrices: the last two axes are mixed. */
export function matrixAxes(l: Links): void {
  passAxes(l, { except: [-1, -2] });
}

/** Batch and channels pass; the spatial axes change. */
export function channelAxes(l: Links): void {
  l.c.node.outputs.forEach((_, output) => {
    for (const axis of [0, 1]) l.join(l.in(0, axis), l.out(output, axis));
  });
}

/** Sampling: axes that keep their size pass, which a scale of 1 makes of them. */
export function resampleAxes(l: Links): void {
  if (l.c.node.string('coordinate_transformation_mode') !== 'tf_crop_and_resize') channelAxes(l);
}
