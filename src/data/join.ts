// Two datasets as one: the samples of the first, then chosen samples of the second.

import { dataProblem } from '../errors/data.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Batch, Dataset, TakeOptions } from './dataset.ts';

type Taken = Required<Pick<Dataset, 'take'>>;

/**
 * Samples 0 … `length` - 1 are those of `first`, the ones behind them are `chosen` samples of `second`.
 * Both have to hold the same arrays, in one shape of a sample; types become those of `first`.
 */
export function joined(
  first: Taken & { readonly length: number },
  second: Taken & { readonly summary: string },
  chosen: readonly number[],
): Taken {
  return {
    async take(indices: readonly number[], options?: TakeOptions): Promise<Batch> {
      const isSecond = indices.map((index) => index >= first.length);
      const own = indices.filter((_, i) => !isSecond[i]);
      const others = indices.filter((_, i) => isSecond[i]);
      if (others.length === 0) return first.take(indices, options);
      const rows = others.map((index) => chosen[index - first.length] as number);
      if (own.length === 0) return second.take(rows, options);
      const [a, b] = [await first.take(own, options), await second.take(rows, options)];
      const merge = (x: Feeds, y: Feeds) => mergeAll(x, y, isSecond, second.summary);
      return {
        feeds: merge(a.feeds, b.feeds),
        targets: merge(a.targets, b.targets),
        count: indices.length,
      };
    },
  };
}

function mergeAll(a: Feeds, b: Feeds, isSecond: readonly boolean[], where: string): Feeds {
  return new Map(
    [...a].map(([name, tensor]) => {
      const other = b.get(name);
      const sizes = ({ shape }: Tensor) => `[${shape.slice(1).join(', ')}]`;
      if (!other) throw dataProblem(`there is no "${name}" beside the data that has it`, where);
      if (sizes(tensor) !== sizes(other)) {
        const problem = `"${name}" is ${sizes(other)} for a sample, but ${sizes(tensor)} in the other data`;
        throw dataProblem(problem, where);
      }
      return [name, merged(tensor, other, isSecond)] as const;
    }),
  );
}

/** Rows of both in the order in which `isSecond` asks for them. */
function merged(a: Tensor, b: Tensor, isSecond: readonly boolean[]): Tensor {
  const [x, y] = [a.bytes(), asType(b, a).bytes()];
  const width = a.byteLength / (a.shape[0] ?? 1);
  const bytes = new Uint8Array(width * isSecond.length);
  const at = { x: 0, y: 0 };
  isSecond.forEach((second, i) => {
    const row = second
      ? y.subarray(at.y * width, ++at.y * width)
      : x.subarray(at.x * width, ++at.x * width);
    bytes.set(row, i * width);
  });
  return Tensor.fromBytes(a.dtype, [isSecond.length, ...a.shape.slice(1)], bytes);
}

function asType(tensor: Tensor, { dtype }: Tensor): Tensor {
  if (tensor.dtype === dtype) return tensor;
  const values = Float64Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);
  return Tensor.of(dtype, tensor.shape, values);
}
