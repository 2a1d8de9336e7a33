// Numbers in another element type. Floats round to nearest, ties to even; to booleans, all but zero
// is true.

import { type DType, dtypeInfo, isInteger, type TypedArray } from './dtype.ts';
import { elementsOf } from './elements.ts';
import { floatsToBfloat16s, floatsToHalves } from './float16.ts';
import { Tensor } from './tensor.ts';

/** Types that `castElements` makes: those of at least 8 bits whose elements are single numbers. */
export function canCastTo(dtype: DType): boolean {
  const { kind, bits } = dtypeInfo(dtype);
  if (kind === 'string' || kind === 'complex') return false;
  return kind === 'float' ? bits >= 16 : bits >= 8;
}

/**
 * The elements as `dtypeInfo(dtype).array` has them. `lost` is called with each value that an
 * integer type cannot hold; what it then becomes is not defined.
 */
export function castElements(
  dtype: DType,
  values: TypedArray,
  lost?: (value: number) => void,
): TypedArray {
  const { array, kind } = dtypeInfo(dtype);
  if (dtype === 'float16') return floatsToHalves(Float64Array.from(values, Number));
  if (dtype === 'bfloat16') return floatsToBfloat16s(Float64Array.from(values, Number));
  const result = new array(values.length);
  const wide = result instanceof BigInt64Array || result instanceof BigUint64Array;
  const whole = isInteger(dtype);
  for (let i = 0; i < values.length; i++) {
    const element = values[i] as number | bigint;
    const value = Number(element);
    if (whole && !Number.isInteger(value)) lost?.(value);
    else if (wide) result[i] = BigInt(element) as never;
    else result[i] = (kind === 'bool' ? Number(value !== 0) : value) as never;
    if (whole && Number(result[i]) !== value) lost?.(value);
  }
  return result;
}

/** A numeric tensor in another type; the same tensor if it has it. */
export function cast(tensor: Tensor, dtype: DType): Tensor {
  if (tensor.dtype === dtype) return tensor;
  const values = castElements(dtype, elementsOf(tensor));
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return Tensor.fromBytes(dtype, tensor.shape, bytes);
}
