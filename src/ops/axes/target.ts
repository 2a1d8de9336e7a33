// Targets of Reshape, Expand, ConstantOfShape and Resize: shapes that an input or attribute says. What
// is constant is written anew; of what is calculated at run time the sizes that are cut are replaced.

import { type Dim, isUnknown, type Shape, sameDim, type Value } from '../../graph/index.ts';
import type { ResizeContext } from './resize.ts';

export function resizeTarget(input: number, attribute = ''): (r: ResizeContext) => void {
  return (r) => {
    const shape = r.node.outputs[0]?.shape;
    const target = r.node.inputs[input];
    const given = r.node.ints(attribute) ?? r.c.known(input);
    const length = given?.length ?? (typeof target?.shape?.[0] === 'number' ? target.shape[0] : 0);
    if (!shape || length === 0 || length > shape.length) return;
    const shift = shape.length - length;
    const sizes = Array.from({ length }, (_, i): number | undefined => {
      const isCut = r.keptOut(0, i + shift) !== undefined;
      return isCut && !stretches(given?.[i], r.node.op) ? r.sizeOut(0, i + shift) : undefined;
    });
    const isChanged = sizes.some((size, i) => size !== undefined && size !== given?.[i]);
    if (!isChanged) return;
    if (r.node.attrs.has(attribute)) {
      r.setInts(
        attribute,
        sizes.map((size, i) => size ?? (given?.[i] as number)),
      );
      return;
    }
    const numbers = literals(r, sizes, given);
    if (numbers) r.setInput(input, numbers);
    else if (target) r.overrideInput(input, target as Value, sizes);
  };
}

/** Numbers that follow what comes in: 0 and -1 of a Reshape, 1 of an Expand. */
function stretches(dim: Dim | undefined, op: string): boolean {
  return op === 'Reshape' ? dim === 0 || dim === -1 : op === 'Expand' && dim === 1;
}

/** All of the target as numbers, where a Reshape copies an axis by 0 and one more size by -1. */
function literals(
  r: ResizeContext,
  sizes: readonly (number | undefined)[],
  given: Shape | undefined,
): readonly number[] | undefined {
  if (!given) return undefined;
  const copies = r.node.op === 'Reshape' && r.node.int('allowzero', 0) === 0;
  const from = r.c.shape(0) ?? [];
  const numbers = given.map((dim, i): number | undefined => {
    const size = sizes[i] ?? dim;
    if (typeof size === 'number') return size;
    const source = from[i];
    const isCopied = copies && source !== undefined && sameDim(dim, source) && !isUnknown(dim);
    return isCopied ? 0 : undefined;
  });
  const open = numbers.filter((size) => size === undefined || size === -1).length;
  if (open > 1 || (open === 1 && !copies)) return undefined;
  return numbers.map((size) => size ?? -1);
}
