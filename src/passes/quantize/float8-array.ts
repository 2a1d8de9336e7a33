// Whole tensors as float8: one scale for all elements, or one for each index along an axis. The codes
// are looked up by the upper half of a float32, where that says the code, and searched for otherwise.

import { elementCount } from '../../tensor/dtype.ts';
import { elementsOf } from '../../tensor/elements.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { Float8, type Float8Type } from './float8.ts';

export async function encodeFloat8(
  type: Float8Type,
  data: Tensor,
  scales: Float32Array,
  axis: number | undefined,
): Promise<Uint8Array> {
  const loaded = Tensor.fromBytes(data.dtype, data.shape, await data.load());
  const values = elementsOf(loaded) as ArrayLike<number>;
  const inner = axis === undefined ? values.length : elementCount(data.shape.slice(axis + 1));
  const codes = new Uint8Array(values.length);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const table = tableOf(type);
  for (let i = 0; i < values.length; i++) {
    const channel = axis === undefined ? 0 : Math.floor(i / inner) % scales.length;
    const value = (values[i] as number) / (scales[channel] as number);
    float[0] = value;
    const known = table[(bits[0] as number) >>> 16] as number;
    codes[i] = known >= 0 ? known : Float8.encode(type, value);
  }
  return codes;
}

const tables = new Map<Float8Type, Int16Array>();

/** The code of all floats with these upper 16 bits, or -1 where they have several. */
function tableOf(type: Float8Type): Int16Array {
  const found = tables.get(type);
  if (found) return found;
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const encode = (pattern: number) => {
    bits[0] = pattern;
    return Float8.encode(type, float[0] as number);
  };
  const table = Int16Array.from({ length: 1 << 16 }, (_, upper) => {
    const low = encode((upper << 16) >>> 0);
    return low === encode(((upper << 16) | 0xffff) >>> 0) ? low : -1;
  });
  tables.set(type, table);
  return table;
}
