import { describe, expect, it } from '@jest/globals';
import { elementsOf } from '../../src/tensor/elements.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const bytesOf = (...bytes: number[]) => Uint8Array.from(bytes);

// The extremes and special codes are those of the table "Float stored in 8 bits" of the ONNX
// documentation.
describe('elementsOf', () => {
  it('decodes the four 8-bit floats', () => {
    const of = (dtype: 'float8e4m3fn' | 'float8e4m3fnuz' | 'float8e5m2' | 'float8e5m2fnuz') => [
      ...elementsOf(Tensor.fromBytes(dtype, [6], bytesOf(0x7e, 0x01, 0x08, 0xb8, 0x7f, 0x80))),
    ];
    expect(of('float8e4m3fn')).toEqual([448, 2 ** -9, 2 ** -6, -1, Number.NaN, -0]);
    expect(of('float8e4m3fnuz')).toEqual([224, 2 ** -10, 2 ** -7, -0.5, 240, Number.NaN]);
    expect(of('float8e5m2')).toEqual([Number.NaN, 2 ** -16, 2 ** -13, -0.5, Number.NaN, -0]);
    expect(of('float8e5m2fnuz')).toEqual([49152, 2 ** -17, 2 ** -14, -0.25, 57344, Number.NaN]);
  });

  it('decodes infinities, exponent-only scales and 4-bit floats', () => {
    const e5m2 = Tensor.fromBytes('float8e5m2', [3], bytesOf(0x7b, 0x7c, 0xfc));
    expect([...elementsOf(e5m2)]).toEqual([57344, Infinity, -Infinity]);
    const e8m0 = Tensor.fromBytes('float8e8m0', [4], bytesOf(0, 127, 130, 255));
    expect([...elementsOf(e8m0)]).toEqual([2 ** -127, 1, 8, Number.NaN]);
    const e2m1 = Tensor.fromBytes('float4e2m1', [5], bytesOf(0x10, 0x32, 0x0f));
    expect([...elementsOf(e2m1)]).toEqual([0, 0.5, 1, 1.5, -6]);
  });

  it('unpacks integers of 4 and 2 bits, low bits first', () => {
    const packed = bytesOf(0x8f, 0x07);
    expect([...elementsOf(Tensor.fromBytes('int4', [3], packed))]).toEqual([-1, -8, 7]);
    expect([...elementsOf(Tensor.fromBytes('uint4', [3], packed))]).toEqual([15, 8, 7]);
    expect([...elementsOf(Tensor.fromBytes('int2', [5], bytesOf(0b10_01_00_11, 1)))]).toEqual([
      -1, 0, 1, -2, 1,
    ]);
    expect([...elementsOf(Tensor.fromBytes('uint2', [4], bytesOf(0b10_01_00_11)))]).toEqual([
      3, 0, 1, 2,
    ]);
  });

  it('leaves other types as they are', () => {
    expect([...elementsOf(Tensor.int64([1, -2]))]).toEqual([1n, -2n]);
    expect([...elementsOf(Tensor.of('bool', [2], [1, 0]))]).toEqual([1, 0]);
  });
});
