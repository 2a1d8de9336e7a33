// Weights in pieces and on threads: the same bytes as all of a weight at once.

import { describe, expect, it } from '@jest/globals';
import {
  type Matrix,
  type Rounding,
  WeightStore,
} from '../../../src/passes/quantize/weights-store.ts';
import { packEachRow } from '../../../src/tensor/block-packing.ts';
import { quantizePart } from '../../../src/tensor/block-task.ts';
import type { BlockBits } from '../../../src/tensor/blocks.ts';
import { byteLengthOf } from '../../../src/tensor/dtype.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { normals } from './weights-helper.ts';

const VALUES = normals(1104 * 701);

const never = (): never => {
  throw new Error('not finite');
};

function matrixOf(rows: number, width: number, isTransposed: boolean): Matrix {
  const shape = isTransposed ? [width, rows] : [rows, width];
  return {
    data: Tensor.of('float32', shape, VALUES.slice(0, rows * width)),
    rows,
    width,
    isTransposed,
  };
}

function roundingOf(bits: BlockBits, block: number, parts: Partial<Rounding> = {}): Rounding {
  return {
    scheme: { bits, block, symmetric: false, scaleType: 'float32' },
    algorithm: 'rtn',
    layout: 'blocks',
    perChannel: false,
    ...parts,
  };
}

describe('WeightStore', () => {
  it.each([
    // Several pieces, on threads: whole rows; whole blocks of all rows; rows of a transposed matrix.
    [1100, 700, false, roundingOf(4, 32)],
    [1100, 700, true, roundingOf(4, 32)],
    [1100, 700, true, roundingOf(2, 128, { layout: 'stored' })],
    [1100, 700, false, roundingOf(2, 64, { layout: 'stored' })],
    [1104, 700, true, roundingOf(4, 700, { layout: 'stored', perChannel: true })],
    // Rows that begin within a byte.
    [1101, 701, true, roundingOf(4, 701, { layout: 'stored', perChannel: true })],
    [1101, 701, false, roundingOf(4, 701, { layout: 'stored', perChannel: true })],
    [1101, 701, true, roundingOf(8, 16)],
    // One piece.
    [40, 70, true, roundingOf(4, 32)],
  ] as const)('%d rows of %d, transposed: %s', async (rows, width, isTransposed, rounding) => {
    const matrix = matrixOf(rows, width, isTransposed);
    const { codes, scales, zeroPoints } = new WeightStore().tensors(matrix, rounding, never);
    const whole = quantizePart({
      ...rounding,
      bytes: matrix.data.bytes(),
      dtype: 'float32',
      rows,
      width,
      isTransposed,
    });
    if ('notFinite' in whole) throw new Error('not finite');
    expect(Buffer.compare(await codes.load(), whole.codes)).toBe(0);
    expect(codes.byteLength).toBe(whole.codes.byteLength);
    for (const tensor of [codes, scales, zeroPoints]) {
      expect((await tensor?.load())?.byteLength).toBe(tensor?.byteLength);
      if (tensor && rounding.layout === 'stored')
        expect(tensor.byteLength).toBe(byteLengthOf(tensor.dtype, tensor.size));
    }
    if (rounding.layout === 'blocks') {
      const { bits } = rounding.scheme;
      const blocks = whole.scales.length / rows;
      expect(await zeroPoints?.load()).toEqual(packEachRow(whole.zeroPoints, rows, blocks, bits));
      expect(await scales.load()).toEqual(new Uint8Array(whole.scales.buffer));
    }
  });

  it('tells of what is not finite on a thread, and goes on working', async () => {
    const matrix = matrixOf(900, 800, true);
    const values = VALUES.slice(0, 900 * 800);
    values[700_000] = Number.NaN;
    const broken = { ...matrix, data: Tensor.of('float32', [800, 900], values) };
    const store = new WeightStore();
    const [bad, good] = [broken, matrix].map((one) => store.tensors(one, roundingOf(4, 32), never));
    await expect(bad?.codes.load()).rejects.toThrow('not finite');
    await expect(bad?.scales.load()).rejects.toThrow('not finite');
    expect((await good?.codes.load())?.byteLength).toBe(900 * 400);
  });
});
