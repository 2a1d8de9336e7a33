// One piece of a weight, from bytes to packed codes: small enough for the processor's cache and for a
// worker thread. Pure: the same task gives the same bytes, wherever it runs.

import { cutRows, packCodes, toSigned, transposeMatrix } from './block-packing.ts';
import { type BlockScheme, type NotFinite, type QuantizedRows, roundRows } from './blocks.ts';
import { byteLengthOf, type DType } from './dtype.ts';
import { decodeElements } from './elements.ts';
import { type Feedback, feedbackRows } from './feedback.ts';
import { halfQuadraticRows } from './half-quadratic.ts';

/** How each block is rounded; the others need more than the weight itself. */
export type BlockAlgorithm = 'rtn' | 'hqq' | 'gptq';

/** A window of a float matrix. */
export interface FloatRows {
  /** [rows, width], or [width, rows] where `isTransposed`. */
  readonly bytes: Uint8Array;
  readonly dtype: DType;
  readonly rows: number;
  readonly width: number;
  readonly isTransposed: boolean;
  /** What each element of a row is multiplied with first: [width]. */
  readonly factors?: Float64Array | undefined;
}

export interface BlockTask extends FloatRows {
  readonly scheme: BlockScheme;
  readonly algorithm: BlockAlgorithm;
  /** `blocks`: rows of whole blocks (MatMulNBits); `stored`: like the weight (DequantizeLinear). */
  readonly layout: BlockLayout;
  /** Of algorithm gptq, which takes whole rows. */
  readonly feedback?: Feedback | undefined;
}

export type BlockLayout = 'blocks' | 'stored';

export interface BlockPart {
  readonly codes: Uint8Array;
  /** [rows, blocks] */
  readonly scales: Float32Array;
  /** [rows, blocks], one per byte. */
  readonly zeroPoints: Uint8Array;
}

export function quantizePart(task: BlockTask): BlockPart | NotFinite {
  const quantized = roundTask(task);
  return 'notFinite' in quantized ? quantized : packRows(quantized, task);
}

function roundTask(task: BlockTask): QuantizedRows | NotFinite {
  const { rows, width, scheme, algorithm, feedback } = task;
  const values = rowsOf(task);
  if (feedback) return feedbackRows(values, rows, width, scheme, feedback);
  const round = algorithm === 'hqq' ? halfQuadraticRows : roundRows;
  return round(values, rows, width, scheme);
}

/** The floats as [rows, width]. */
export function rowsOf(task: FloatRows): Float32Array {
  const { rows, width, factors } = task;
  const stored = decodeElements(task.dtype, task.bytes, rows * width) as Float32Array;
  if (!task.isTransposed && !factors) return stored;
  const values = task.isTransposed
    ? transposeMatrix(stored, width, rows, new Float32Array(stored.length))
    : stored.slice();
  if (!factors) return values;
  for (let row = 0, i = 0; row < rows; row++) {
    for (let k = 0; k < width; k++, i++) values[i] = (values[i] as number) * (factors[k] as number);
  }
  return values;
}

export type RowsLayout = Pick<BlockTask, 'width' | 'isTransposed' | 'scheme' | 'layout'>;

/** Codes, one per byte, into the layout that the operator reads. */
export function packRows(quantized: QuantizedRows, task: RowsLayout): BlockPart {
  const { scales, zeroPoints } = quantized;
  return { codes: packAll(quantized, task), scales, zeroPoints };
}

function packAll({ rows, blocks, codes }: QuantizedRows, task: RowsLayout): Uint8Array {
  const { width, scheme, layout, isTransposed } = task;
  const { bits, block, symmetric } = scheme;
  if (layout === 'blocks') return packCodes(codes, bits);
  const tight = cutRows(codes, rows, blocks * block, width);
  const stored = isTransposed
    ? transposeMatrix(tight, rows, width, new Uint8Array(tight.length))
    : tight;
  const packed = packCodes(stored, bits);
  return symmetric ? toSigned(packed, bits) : packed;
}

/** Bytes of `count` packed codes. */
export function packedBytes(count: number, { bits }: BlockScheme): number {
  return byteLengthOf(bits === 4 ? 'uint4' : bits === 2 ? 'uint2' : 'uint8', count);
}
