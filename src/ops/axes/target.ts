// Targets of Reshape, Expand, ConstantOfShape and Resize: shapes that an input or attribute says. What
// is constant is written anew; of what is calculated at run time the sizes that are cut are replaced.

import { type Dim, isUnknown, type Shape, sameDim } from '../../graph/index.ts';
import { slotsOf } from './link.ts';
import type { Override, ResizeContext } from './resize.ts';

export function resizeTarget(input: number, attribute = ''): (r: ResizeContext) => void {
  return (r) => {
    const shape = r.node.outputs[0]?.shape;
    const target = r.node.inputs[input];
    const given = r.node.ints(attribute) ?? r.c.known(input);
    const length = given?.length ?? (typeof target?.shape?.[0] === 'number' ? target.shape[0] : 0);
    if (!shape || length === 0 || length > shape.length) return;
    const shift = shape.length - length;
    const sizes = Array.from({ length }, (_, i): Dim | undefined => {
      const isCut = r.keptOut(0, i + shift) !== undefined;
      return isCut && !stretches(given?.[i], r.node.op) ? r.dimOut(0, i + shift) : undefined;
    });
    const isChanged = sizes.some((size, i) => size !== undefined && size !== given?.[i]);
    if (!isChanged) return;
    if (r.node.attrs.has(attribute)) {
      r.setInts(
        attribute,
        sizes.map((size, i) => (size ?? given?.[i]) as number),
      );
      return;
    }
    const numbers = literals(r, sizes, given);
    if (numbers) r.setInput(input, numbers);
    else if (target) {
      const overrides = sizes.map((size, i) => overrideOf(size, shape[i + shift] as Dim));
      r.overrideInput(input, target, overrides);
    }
  };
}

function overrideOf(size: Dim | undefined, before: Dim): Override | undefined {
  if (size === undefined || typeof size === 'number') return size;
  return [slotsOf(size) ?? 1, slotsOf(before) ?? 1];
}

/** Numbers that follow what comes in: 0 and -1 of a Reshape, 1 of an Expand. */
export function stretches(dim: Dim | undefined, op: string): boolean {
  return op === 'Reshape' ? dim === 0 || dim === -1 : op === 'Expand' && dim === 1;
}

/** All of the target as numbers, where a Reshape copies symbolic axes by 0. */
function literals(
  r: ResizeContext,
  sizes: readonly (Dim | undefined)[],
  given: Shape | undefined,
): readonly number[] | undefined {
  if (!given) return undefined;
  const copies = r.node.op === 'Reshape' && r.node.int('allowzero', 0) === 0;
  const from = r.c.shape(0) ?? [];
  const numbers: number[] = [];
  for (const [i, dim] of given.entries()) {
    const [size, source] = [sizes[i] ?? dim, from[i]];
    const isCopied = copies && sizes[i] === undefined && source !== undefined;
    if (typeof size === 'number') numbers.push(size);
    else if (isCopied && sameDim(dim, source) && !isUnknown(dim)) numbers.push(0);
    else return undefined;
  }
  return numbers;
}
