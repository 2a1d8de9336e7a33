// Arrays of integers that are made row by row: tokens, masks, positions.

import { Tensor } from '../tensor/tensor.ts';
import type { ArraySource } from './source.ts';

interface TokenRows {
  readonly name: string;
  readonly where: string;
  readonly shape: readonly [count: number, length: number];
  valueAt(row: number, position: number): number;
}

/** int64 [count, length]. */
export function tokenRows({ name, where, shape, valueAt }: TokenRows): ArraySource {
  const [, length] = shape;
  return {
    name,
    where,
    dtype: 'int64',
    shape,
    rows(rows) {
      const values = new BigInt64Array(rows.length * length);
      rows.forEach((row, r) => {
        for (let i = 0; i < length; i++) values[r * length + i] = BigInt(valueAt(row, i));
      });
      return Tensor.of('int64', [rows.length, length], values);
    },
  };
}
