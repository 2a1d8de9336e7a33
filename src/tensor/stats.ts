// Counts over the elements of a tensor, in one pass and 8 MiB at a time.

import { type DType, dtypeInfo } from './dtype.ts';
import { type Tensor, viewOf } from './tensor.ts';

export interface TensorStats {
  readonly elements: number;
  readonly zeros: number;
  readonly nans: number;
  readonly infinities: number;
}

/** Zeros, NaNs and infinities; only whole-byte numbers are counted, others give zeros of 0. */
export async function countElements(tensor: Tensor): Promise<TensorStats> {
  const count = { zeros: 0, nans: 0, infinities: 0 };
  const counter = counterFor(tensor.dtype);
  if (counter) {
    for await (const chunk of tensor.chunks()) counter(chunk, count);
  }
  return { elements: tensor.size, ...count };
}

interface Count {
  zeros: number;
  nans: number;
  infinities: number;
}

/** Whether zeros can be told apart element by element. */
export function isCountable(dtype: DType): boolean {
  return counterFor(dtype) !== undefined;
}

function counterFor(dtype: DType): ((bytes: Uint8Array, count: Count) => void) | undefined {
  const { bits, kind } = dtypeInfo(dtype);
  if (bits < 8 || kind === 'string' || kind === 'complex') return undefined;
  if (dtype === 'float16') return halfCounter(0x7c00);
  if (dtype === 'bfloat16') return halfCounter(0x7f80);
  if (kind === 'float' && bits >= 32) return (bytes, count) => countFloats(dtype, bytes, count);
  if (kind === 'float') return undefined;
  return (bytes, count) => countIntegers(dtype, bytes, count);
}

function countFloats(dtype: DType, bytes: Uint8Array, count: Count): void {
  const values = viewOf(dtype, bytes) as Float32Array | Float64Array;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value === 0) count.zeros += 1;
    else if (value - value !== 0) {
      if (Number.isNaN(value)) count.nans += 1;
      else count.infinities += 1;
    }
  }
}

function countIntegers(dtype: DType, bytes: Uint8Array, count: Count): void {
  const values = viewOf(dtype, bytes);
  for (let i = 0; i < values.length; i++) {
    // Loose on purpose: 64-bit integers arrive as bigints, and 0n == 0.
    if (Number(values[i]) === 0) count.zeros += 1;
  }
}

/** 16-bit floats as raw bits: sign, exponent (all ones: not finite), mantissa. */
function halfCounter(exponent: number): (bytes: Uint8Array, count: Count) => void {
  return (bytes, count) => {
    const values = viewOf('float16', bytes) as Uint16Array;
    for (let i = 0; i < values.length; i++) {
      const bits = (values[i] as number) & 0x7fff;
      if (bits === 0) count.zeros += 1;
      else if (bits === exponent) count.infinities += 1;
      else if (bits > exponent) count.nans += 1;
    }
  };
}
