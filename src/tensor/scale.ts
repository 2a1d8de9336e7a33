// Arithmetic on float weights: calculated in double precision, rounded once to the tensor's type.
// Small results are computed at once; large ones when somebody reads them, so that folding a scale
// into every weight of a model never holds more than one of them.

import assert from 'node:assert/strict';
import { byteLengthOf, type DType, elementCount, isFloat } from './dtype.ts';
import { decodeElements } from './elements.ts';
import { floatsToBfloat16s, floatsToHalves } from './float16.ts';
import { Tensor } from './tensor.ts';

const EAGER_BYTES = 1 << 20;

/** Whether numbers of this type can be calculated and written back. */
export function isCalculable(dtype: DType | undefined): boolean {
  return dtype !== undefined && isFloat(dtype) && byteLengthOf(dtype, 1) >= 2;
}

/** A float tensor of the given numbers, each rounded once. */
export function floatTensor(dtype: DType, shape: readonly number[], values: Float64Array): Tensor {
  return Tensor.fromBytes(dtype, shape, encodeFloats(dtype, values));
}

/** The numbers of a float tensor that is at hand, in double precision. */
export function floatsOf(tensor: Tensor): Float64Array {
  return Float64Array.from(
    decodeElements(tensor.dtype, tensor.bytes(), tensor.size) as Float32Array,
  );
}

type Floats = Float32Array | Float64Array;

/**
 * Multiplies each run of `block` consecutive elements by the factor of that run: with `block` the
 * size below an axis, that scales along the axis.
 */
export function scaleBlocks(
  tensor: Tensor,
  block: number,
  factor: (run: number) => number,
): Tensor {
  return derive(tensor, tensor.shape, (from, to) => {
    for (let start = 0, run = 0; start < from.length; start += block, run++) {
      const f = factor(run);
      for (let i = start; i < start + block; i++) to[i] = (from[i] as number) * f;
    }
  });
}

/** Multiplies by one factor per index of an axis. */
export function scaleAxis(tensor: Tensor, axis: number, factors: ArrayLike<number>): Tensor {
  const size = tensor.shape[axis] ?? 1;
  assert.equal(factors.length, size, `factors of axis ${axis} of [${tensor.shape}]`);
  const block = elementCount(tensor.shape.slice(axis + 1));
  return scaleBlocks(tensor, block, (run) => factors[run % size] as number);
}

/** A tensor of the same type whose numbers are calculated from another's. */
export function derive(
  tensor: Tensor,
  shape: readonly number[],
  calculate: (from: Floats, to: Floats) => void,
): Tensor {
  const { dtype, size } = tensor;
  assert(isCalculable(dtype), `arithmetic on ${dtype}`);
  const count = elementCount(shape);
  const finish = (bytes: Uint8Array): Uint8Array => {
    const to = dtype === 'float32' ? new Float32Array(count) : new Float64Array(count);
    calculate(decodeElements(dtype, bytes, size) as Floats, to);
    return encodeFloats(dtype, to);
  };
  if (!tensor.isDerived && tensor.byteLength <= EAGER_BYTES) {
    return Tensor.fromBytes(dtype, shape, finish(tensor.bytes()));
  }
  return new Tensor(dtype, shape, {
    byteLength: byteLengthOf(dtype, count),
    compute: async () => finish(await tensor.load()),
  });
}

function encodeFloats(dtype: DType, values: Floats): Uint8Array {
  let typed: Floats | Uint16Array = values;
  if (dtype === 'float16') typed = floatsToHalves(values);
  else if (dtype === 'bfloat16') typed = floatsToBfloat16s(values);
  else if (dtype === 'float32' && !(values instanceof Float32Array))
    typed = Float32Array.from(values);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}
