// Tensors of equal content: found by type and shape, then a sample, and only then by all their bytes.

import { createHash } from 'node:crypto';
import type { Tensor } from './tensor.ts';

/** Tensors are immutable, so a key holds for as long as the tensor lives. */
const keys = new WeakMap<Tensor, Promise<string>>();
const SAMPLE_BYTES = 4096;

/**
 * Groups of two or more items whose tensors agree in type, shape and every byte (NaNs bit by bit).
 * Tensors that are yet to be computed are left out.
 */
export async function groupEqual<T>(
  items: readonly T[],
  tensorOf: (item: T) => Tensor,
): Promise<T[][]> {
  const known = items.filter((item) => !tensorOf(item).isDerived);
  const alike = groupBy(known, (item) => typeKey(tensorOf(item))).flatMap((group) =>
    groupBy(group, (item) => sampleOf(tensorOf(item))),
  );
  const groups: T[][] = [];
  for (const group of alike) {
    const found = new Map<T, string>();
    for (const item of group) found.set(item, await contentKey(tensorOf(item)));
    groups.push(...groupBy(group, (item) => found.get(item) ?? ''));
  }
  return groups;
}

function typeKey({ dtype, shape }: Tensor): string {
  return `${dtype} ${shape.join('x')}`;
}

/** The beginning, the middle and the end, where that spares reading it all. */
function sampleOf({ source, byteLength }: Tensor): string {
  if (!('read' in source) || byteLength <= 4 * SAMPLE_BYTES) return '';
  const middle = Math.floor((byteLength - SAMPLE_BYTES) / 2);
  return [0, middle, byteLength - SAMPLE_BYTES]
    .map((at) => Buffer.from(source.read(at, SAMPLE_BYTES)).toString('base64'))
    .join();
}

/** A key of the bytes alone; tensors of other types and shapes may share it. */
export function contentKey(tensor: Tensor): Promise<string> {
  const key = keys.get(tensor) ?? hashContent(tensor);
  keys.set(tensor, key);
  return key;
}

/** Reads in pieces of 8 MiB. Strings are kept apart: ["ab"] is not ["a", "b"]. */
async function hashContent(tensor: Tensor): Promise<string> {
  const hash = createHash('sha256');
  if ('strings' in tensor.source) {
    for (const text of tensor.source.strings) hash.update(`${text.length}:`).update(text);
  } else {
    for await (const chunk of tensor.chunks()) hash.update(chunk);
  }
  return hash.digest('base64');
}

/** Groups of two or more. */
function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}
