// How quantised blocks lie in memory. Codes of less than a byte are packed low bits first.
// MatMulNBits (com.microsoft): B [N, blocks, block * bits / 8], zero points [N, blocks * bits / 8],
// each row filled up to whole bytes. DequantizeLinear (ONNX 21): in the layout of the float weight,
// all elements packed without a gap; a signed type has its middle at 0.

import assert from 'node:assert/strict';
import type { BlockBits } from './blocks.ts';

/** Packs codes, one per byte, without a gap. */
export function packCodes(codes: Uint8Array, bits: BlockBits): Uint8Array {
  if (bits === 8) return codes;
  const perByte = 8 / bits;
  const whole = Math.floor(codes.length / perByte);
  const packed = new Uint8Array(Math.ceil(codes.length / perByte));
  if (bits === 4) {
    for (let i = 0, c = 0; i < whole; i++, c += 2) {
      packed[i] = (codes[c] as number) | ((codes[c + 1] as number) << 4);
    }
  } else {
    for (let i = 0, c = 0; i < whole; i++, c += 4) {
      packed[i] =
        (codes[c] as number) |
        ((codes[c + 1] as number) << 2) |
        ((codes[c + 2] as number) << 4) |
        ((codes[c + 3] as number) << 6);
    }
  }
  for (let c = whole * perByte, shift = 0; c < codes.length; c++, shift += bits) {
    packed[whole] = (packed[whole] as number) | ((codes[c] as number) << shift);
  }
  return packed;
}

/** Packs each row of codes [rows, width] by itself: rows begin at whole bytes. */
export function packEachRow(
  codes: Uint8Array,
  rows: number,
  width: number,
  bits: BlockBits,
): Uint8Array {
  const bytes = Math.ceil((width * bits) / 8);
  if ((width * bits) % 8 === 0) return packCodes(codes, bits);
  const packed = new Uint8Array(rows * bytes);
  for (let row = 0; row < rows; row++) {
    packed.set(packCodes(codes.subarray(row * width, (row + 1) * width), bits), row * bytes);
  }
  return packed;
}

/** Codes of the same bits as signed numbers whose middle is 0, in two's complement. */
export function toSigned(packed: Uint8Array, bits: BlockBits): Uint8Array {
  const flip = { 2: 0xaa, 4: 0x88, 8: 0x80 }[bits];
  return packed.map((byte) => byte ^ flip);
}

/** The first `width` of each `stride` elements. */
export function cutRows(
  codes: Uint8Array,
  rows: number,
  stride: number,
  width: number,
): Uint8Array {
  if (stride === width) return codes;
  const cut = new Uint8Array(rows * width);
  for (let row = 0; row < rows; row++) {
    cut.set(codes.subarray(row * stride, row * stride + width), row * width);
  }
  return cut;
}

type Elements = Float32Array | Uint8Array;

/** Elements along one side of a tile: as much of both matrices stays in the processor's cache. */
const TILE = 32;

/** [rows, columns] to [columns, rows], tile by tile. */
export function transposeMatrix<T extends Elements>(
  from: T,
  rows: number,
  columns: number,
  to: T,
): T {
  assert.equal(to.length, rows * columns, `transpose of [${rows}, ${columns}]`);
  for (let r0 = 0; r0 < rows; r0 += TILE) {
    const r1 = Math.min(rows, r0 + TILE);
    for (let c0 = 0; c0 < columns; c0 += TILE) {
      const c1 = Math.min(columns, c0 + TILE);
      for (let c = c0; c < c1; c++) {
        for (let r = r0; r < r1; r++) to[c * rows + r] = from[r * columns + c] as number;
      }
    }
  }
  return to;
}
