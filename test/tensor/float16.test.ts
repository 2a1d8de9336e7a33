import { describe, expect, it } from '@jest/globals';
import onnx from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import {
  bfloat16ToFloat,
  floatsToBfloat16s,
  floatsToHalves,
  floatToBfloat16,
  floatToHalf,
  halfToFloat,
  halvesToFloats,
} from '../../src/tensor/float16.ts';

const FLOAT = 1;
const FLOAT16 = 10;

/** A session that casts a vector: onnxruntime's own conversion is the reference. */
async function castSession(from: number, to: number): Promise<ort.InferenceSession> {
  const vector = (name: string, elemType: number) => ({
    name,
    type: { tensorType: { elemType, shape: { dim: [{ dimParam: 'n' }] } } },
  });
  const model = onnx.onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 13 }],
    graph: {
      name: 'cast',
      node: [
        {
          opType: 'Cast',
          input: ['x'],
          output: ['y'],
          attribute: [{ name: 'to', type: onnx.onnx.AttributeProto.AttributeType.INT, i: to }],
        },
      ],
      input: [vector('x', from)],
      output: [vector('y', to)],
    },
  }).finish();
  return ort.InferenceSession.create(model);
}

const everyHalf = Uint16Array.from({ length: 0x10000 }, (_, i) => i);

describe('float16', () => {
  it('widens all 65,536 bit patterns as onnxruntime does', async () => {
    const session = await castSession(FLOAT16, FLOAT);
    const { y } = await session.run({ x: new ort.Tensor('float16', everyHalf, [0x10000]) });
    expect(halvesToFloats(everyHalf)).toEqual(y?.data);
    await session.release();
  });

  it('returns every bit pattern, one NaN for all NaNs', () => {
    const back = floatsToHalves(halvesToFloats(everyHalf));
    const wrong = everyHalf.filter((bits) => {
      const isNaNBits = (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0;
      return isNaNBits ? back[bits] !== 0x7e00 : back[bits] !== bits;
    });
    expect([...wrong]).toEqual([]);
  });

  it('rounds floats to the nearest half, ties to even, as onnxruntime does', async () => {
    // Every half, the midpoint to the next one, and the floats right below and above the midpoint.
    const floats: number[] = [];
    const bits = new Uint32Array(1);
    const float = new Float32Array(bits.buffer);
    for (let half = 0; half < 0x7c00; half++) {
      const middle = (halfToFloat(half) + (half === 0x7bff ? 65536 : halfToFloat(half + 1))) / 2;
      for (const step of [-1, 0, 1]) {
        float[0] = middle;
        bits[0] = (bits[0] as number) + step;
        floats.push(float[0] as number, -(float[0] as number));
      }
    }
    floats.push(0, -0, Infinity, -Infinity, 1e-30, 1e30, 65504, 65519.996, 65520, 2 ** -25);
    const x = Float32Array.from(floats);
    const session = await castSession(FLOAT, FLOAT16);
    const { y } = await session.run({ x: new ort.Tensor('float32', x, [x.length]) });
    // onnxruntime gives float16 as a Float16Array where the platform has one; compare the bits.
    const data = y?.data as unknown as { buffer: ArrayBuffer; byteOffset: number; length: number };
    const expected = new Uint16Array(data.buffer, data.byteOffset, data.length);
    expect(floatsToHalves(x)).toEqual(expected);
    await session.release();
  });

  it('rounds a double once, not first to float32', () => {
    // 1 + 2^-11 is a tie (to even: 1); a hair more has to round up, but float32 loses the hair.
    expect(halfToFloat(floatToHalf(1 + 2 ** -11))).toBe(1);
    expect(halfToFloat(floatToHalf(1 + 2 ** -11 + 2 ** -40))).toBe(1 + 2 ** -10);
    expect(Number.isNaN(halfToFloat(floatToHalf(Number.NaN)))).toBe(true);
  });
});

describe('bfloat16', () => {
  it('is the upper half of a float32', () => {
    const view = new DataView(new ArrayBuffer(4));
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x10000; bits++) {
      view.setUint16(0, bits);
      view.setUint16(2, 0);
      const value = view.getFloat32(0);
      if (!Object.is(bfloat16ToFloat(bits), value)) wrong.push(bits);
      const back = floatToBfloat16(value);
      if (Number.isNaN(value) ? back !== 0x7fc0 : back !== bits) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it('rounds to nearest, ties to even', () => {
    // Reference: add 0x7fff plus the lowest kept bit to the float32 bits, then cut.
    const view = new DataView(new ArrayBuffer(4));
    const wrong: number[] = [];
    for (let i = 0; i < 200_000; i++) {
      const bits = Math.imul(i, 2654435761) >>> 0;
      view.setUint32(0, bits);
      const value = view.getFloat32(0);
      if (Number.isNaN(value)) continue;
      const expected = ((bits + 0x7fff + ((bits >>> 16) & 1)) / 0x10000) & 0xffff;
      if (floatToBfloat16(value) !== expected) wrong.push(value);
    }
    expect(wrong).toEqual([]);
  });
});

describe('float32 arrays', () => {
  /** Every upper half with lower halves below, at and above the ties of both formats. */
  const bits = Uint32Array.from({ length: 0x10000 * 8 }, (_, i) => {
    const lower = [0, 1, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001][i & 7] as number;
    return ((i >>> 3) << 16) | lower;
  });
  const singles = new Float32Array(bits.buffer);

  it('become the halves that their numbers become one by one', () => {
    const halves = floatsToHalves(singles);
    const bfloats = floatsToBfloat16s(singles);
    const wrong = Array.from(singles.keys()).filter((i) => {
      const x = singles[i] as number;
      if (Number.isNaN(x)) {
        return (
          !Number.isNaN(halfToFloat(halves[i] as number)) ||
          (bfloats[i] as number & 0x7fff) <= 0x7f80
        );
      }
      return halves[i] !== floatToHalf(x) || bfloats[i] !== floatToBfloat16(x);
    });
    expect(wrong).toEqual([]);
  });
});
