// A weight matrix in pieces: small enough for the processor's cache and for the threads of the pool,
// read one after the other, so that a matrix is never in memory as floats.

import { byteLengthOf } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Matrix, Rounding } from './weights-store.ts';

/** Float bytes of one piece. */
export const PIECE_BYTES = 1 << 20;

/** A window of a matrix: rows from `row`, elements of them from `k`. */
export interface Piece {
  readonly row: number;
  readonly k: number;
  readonly rows: number;
  readonly width: number;
}

/**
 * Windows that lie in one piece in the file where that can be: whole rows, or, of a transposed
 * matrix, whole blocks of all rows; where a block is as wide as the matrix, or errors are handed on
 * along it, some of the rows.
 */
export function* piecesOf(
  matrix: Matrix,
  { scheme, layout, feedback }: Rounding,
): Generator<Piece> {
  const { rows, width, data, isTransposed } = matrix;
  const elements = PIECE_BYTES / byteLengthOf(data.dtype, 1);
  // Pieces begin at whole bytes of codes and of zero points.
  const aligned = (size: number, step: number) => Math.max(step, Math.floor(size / step) * step);
  if (isTransposed && scheme.block < width && !feedback) {
    const step = aligned(elements / rows, scheme.block);
    for (let k = 0; k < width; k += step) {
      yield { row: 0, k, rows, width: Math.min(step, width - k) };
    }
    return;
  }
  const misaligned = isTransposed && layout === 'stored' && (rows * scheme.bits) % 8 !== 0;
  const step = misaligned ? rows : aligned(elements / width, 8);
  for (let row = 0; row < rows; row += step) {
    yield { row, k: 0, rows: Math.min(step, rows - row), width };
  }
}

/** Reads bytes of the stored matrix into memory that is there. */
export type Read = (offset: number, into: Uint8Array) => void;

export async function readerOf(data: Tensor): Promise<Read> {
  const { source } = data;
  if ('read' in source) {
    if (source.readInto) return (offset, into) => source.readInto?.(offset, into);
    return (offset, into) => into.set(source.read(offset, into.length));
  }
  const bytes = await data.load();
  return (offset, into) => into.set(bytes.subarray(offset, offset + into.length));
}

export function pieceBytes({ data }: Matrix, { rows, width }: Piece): number {
  return byteLengthOf(data.dtype, rows * width);
}

/** Fills `into` with a piece, [rows, width] or [width, rows] as the matrix is stored. */
export function readPiece(read: Read, matrix: Matrix, piece: Piece, into: Uint8Array): void {
  const { data, rows, width, isTransposed } = matrix;
  const size = byteLengthOf(data.dtype, 1);
  if (!isTransposed) read(piece.row * width * size, into);
  else if (piece.rows === rows) read(piece.k * rows * size, into);
  else {
    const run = piece.rows * size;
    for (let k = 0; k < piece.width; k++) {
      const part = into.subarray(k * run, (k + 1) * run);
      read(((piece.k + k) * rows + piece.row) * size, part);
    }
  }
}
