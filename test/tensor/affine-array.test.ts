// Arrays against the formula said plainly: scale and zero point of each channel, then each element.

import { describe, expect, it } from '@jest/globals';
import { affineOf, integerRange, roundHalfEven } from '../../src/tensor/affine.ts';
import { type ArrayScheme, quantizeArray } from '../../src/tensor/affine-array.ts';
import { elementCount } from '../../src/tensor/dtype.ts';
import { floatsToHalves, halvesToFloats } from '../../src/tensor/float16.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor, viewOf } from '../../src/tensor/tensor.ts';

const fails = (): never => {
  throw new Error('not finite');
};

function normals(count: number, offset = 0): Float32Array {
  const random = new Random(3, 'array');
  return Float32Array.from({ length: count }, () => random.normal() + offset);
}

async function loaded(tensor: Tensor): Promise<number[]> {
  expect(tensor.byteLength).toBe((await tensor.load()).byteLength);
  return Array.from(viewOf(tensor.dtype, await tensor.load()) as Float32Array);
}

/** Element by element. */
function plainly(values: Float32Array, shape: readonly number[], scheme: ArrayScheme) {
  const { axis } = scheme;
  const inner = axis === undefined ? values.length : elementCount(shape.slice(axis + 1));
  const channels = axis === undefined ? 1 : (shape[axis] ?? 1);
  const channelOf = (i: number) => Math.floor(i / inner) % channels;
  const affines = Array.from({ length: channels }, (_, c) => {
    const own = values.filter((_, i) => channelOf(i) === c);
    const range = { min: Math.min(0, ...own), max: Math.max(0, ...own) };
    return affineOf(range, scheme);
  });
  const { min, max } = integerRange({ type: scheme.type, symmetric: false });
  const codes = Array.from(values, (value, i) => {
    const { scale, zeroPoint } = affines[channelOf(i)] ?? { scale: 1, zeroPoint: 0 };
    const code = roundHalfEven(Math.fround(value / scale)) + zeroPoint;
    return Math.max(min, Math.min(max, code));
  });
  return {
    codes,
    scales: affines.map(({ scale }) => scale),
    zeroPoints: affines.map(({ zeroPoint }) => zeroPoint),
  };
}

const SCHEMES: ArrayScheme[] = (['int8', 'uint8', 'int16', 'uint16'] as const).flatMap((type) =>
  [true, false].flatMap((symmetric) =>
    [true, false].map((reduceRange) => ({ type, symmetric, reduceRange })),
  ),
);

describe('quantizeArray', () => {
  it.each(SCHEMES)('does what the formula says: %j', async (scheme) => {
    const shape = [3, 4, 5];
    for (const axis of [undefined, 0, 1, 2]) {
      for (const offset of [0, 5, -5]) {
        const values = normals(60, offset);
        const tensor = Tensor.of('float32', shape, values);
        const { codes, scales, zeroPoints } = quantizeArray(tensor, { ...scheme, axis }, fails);
        expect(codes.shape).toEqual(shape);
        expect(scales.shape).toEqual(axis === undefined ? [] : [shape[axis]]);
        expect({
          codes: await loaded(codes),
          scales: await loaded(scales),
          zeroPoints: await loaded(zeroPoints),
        }).toEqual(plainly(values, shape, { ...scheme, axis }));
      }
    }
  });

  it('is the same in pieces', async () => {
    // More than one piece of 8 MiB, whose border falls into the middle of a row.
    const width = 524_289;
    const values = new Float64Array(2 * width);
    for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 1009) - 504.5;
    const tensor = Tensor.of('float64', [2, width], values);
    for (const axis of [0, 1]) {
      const scheme: ArrayScheme = { type: 'int8', symmetric: true, axis };
      const { codes, scales } = quantizeArray(tensor, scheme, fails);
      const [found, step] = [new Int8Array(await codes.load()), await loaded(scales)];
      for (let i = 0; i < values.length; i += i > values.length - 100 ? 1 : 997) {
        const scale = step[axis === 0 ? Math.floor(i / width) : i % width] ?? 0;
        const code = roundHalfEven(Math.fround((values[i] as number) / scale));
        expect([i, found[i]]).toEqual([i, code]);
      }
      expect(step.every((scale) => scale > 0)).toBe(true);
    }
  });

  it('keeps zeros, and channels that hold nothing else', async () => {
    const tensor = Tensor.of('float32', [2, 3], [0, 0, 0, 1, -2, 0]);
    for (const type of ['int8', 'uint8'] as const) {
      const symmetric = type === 'int8';
      const { codes, scales, zeroPoints } = quantizeArray(
        tensor,
        { type, symmetric, axis: 0 },
        fails,
      );
      const [q, s, z] = [await loaded(codes), await loaded(scales), await loaded(zeroPoints)];
      const back = q.map((code, i) => {
        const row = Math.floor(i / 3);
        return (code - (z[row] ?? 0)) * (s[row] ?? 0);
      });
      expect(back.slice(0, 3)).toEqual([0, 0, 0]);
      expect(back[5]).toBe(0);
      expect(back[4]).toBeCloseTo(-2, 1);
    }
  });

  it('reads float16', async () => {
    const halves = floatsToHalves(Float64Array.from(normals(12)));
    const floats = Tensor.of('float32', [3, 4], halvesToFloats(halves));
    const scheme: ArrayScheme = { type: 'int8', symmetric: true, axis: 1 };
    const [a, b] = [floats, Tensor.of('float16', [3, 4], halves)].map((tensor) =>
      quantizeArray(tensor, scheme, fails),
    );
    expect(await loaded((b as typeof a & object).codes)).toEqual(
      await loaded((a as typeof b & object).codes),
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %d',
    async (value) => {
      for (const axis of [undefined, 0, 1]) {
        const tensor = Tensor.of('float32', [2, 2], [1, value, 2, 3]);
        const array = quantizeArray(tensor, { type: 'uint8', symmetric: false, axis }, fails);
        await expect(array.codes.load()).rejects.toThrow('not finite');
      }
    },
  );
});
