// Quantised weights as tensors that are computed when somebody reads them, a part at a time: memory
// holds the codes of one weight and a few megabytes of floats, whatever the size of the model. What
// was computed last is kept for a while, as codes, scales and zero points are read one by one.

import { packCodes, packEachRow, transposeMatrix } from '../../tensor/block-packing.ts';
import {
  type BlockAlgorithm,
  type BlockLayout,
  type BlockPart,
  type BlockTask,
  packedBytes,
  quantizePart,
} from '../../tensor/block-task.ts';
import type { BlockScheme } from '../../tensor/blocks.ts';
import { byteLengthOf, type DType } from '../../tensor/dtype.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';

/** A float matrix to quantise: `rows` outputs (or entries of a table), blocks along `width`. */
export interface Matrix {
  readonly data: Tensor;
  readonly rows: number;
  readonly width: number;
  /** Stored as [width, rows]. */
  readonly isTransposed: boolean;
}

export interface Rounding {
  readonly scheme: BlockScheme;
  readonly algorithm: BlockAlgorithm;
  readonly layout: BlockLayout;
  readonly factors?: Float64Array | undefined;
}

export interface PackedTensors {
  readonly codes: Tensor;
  readonly scales: Tensor;
  readonly zeroPoints: Tensor | undefined;
}

/** Called with the index of an element that is NaN or infinite; throws. */
export type OnNotFinite = (index: number) => never;

type Run = (task: BlockTask) => Promise<BlockPart | { readonly notFinite: number }>;

const inPlace: Run = async (task) => quantizePart(task);

/** Float bytes of one part. */
const PART_BYTES = 4 << 20;
/** Packed bytes that are kept after they were computed. */
const KEPT_BYTES = 192 << 20;

export class WeightStore {
  readonly #kept = new Map<object, { readonly bytes: number; readonly part: Promise<BlockPart> }>();
  readonly #run: Run;

  constructor(run: Run = inPlace) {
    this.#run = run;
  }

  /** The tensors of a weight; nothing is computed yet. */
  tensors(matrix: Matrix, rounding: Rounding, onNotFinite: OnNotFinite): PackedTensors {
    const compute = () => this.#compute(matrix, rounding, onNotFinite);
    return packedTensors(matrix, rounding, compute);
  }

  #compute(matrix: Matrix, rounding: Rounding, onNotFinite: OnNotFinite): Promise<BlockPart> {
    const known = this.#kept.get(rounding);
    const part = known?.part ?? quantizeMatrix(matrix, rounding, onNotFinite, this.#run);
    const bytes = packedBytes(matrix.rows * matrix.width, rounding.scheme);
    this.#kept.delete(rounding);
    this.#kept.set(rounding, { bytes, part });
    this.#forget();
    return part;
  }

  /** Forgets what was read longest ago, but for the last one. */
  #forget(): void {
    let total = 0;
    for (const { bytes } of this.#kept.values()) total += bytes;
    for (const [key, { bytes }] of this.#kept) {
      if (total <= KEPT_BYTES || this.#kept.size === 1) return;
      this.#kept.delete(key);
      total -= bytes;
    }
  }
}

/** Codes, scales and zero points in the shapes that the operators want. */
function packedTensors(
  matrix: Matrix,
  { scheme, layout }: Rounding,
  compute: () => Promise<BlockPart>,
): PackedTensors {
  const { rows, width } = matrix;
  const { bits, block, symmetric, scaleType } = scheme;
  const blocks = Math.ceil(width / block);
  const isStored = layout === 'stored';
  const turned = isStored && matrix.isTransposed;
  const small = isStored && blocks === 1 ? [rows] : turned ? [blocks, rows] : [rows, blocks];
  const codes: [DType, number[], number] = isStored
    ? [symmetric ? `int${bits}` : `uint${bits}`, [...matrix.data.shape], rows * width]
    : ['uint8', [rows, blocks, (block * bits) / 8], rows * blocks * block];
  const arrange = <T extends Float32Array | Uint8Array>(values: T): T =>
    turned ? transposeMatrix(values, rows, blocks, values.slice() as T) : values;
  const zeroShape = isStored ? small : [rows, Math.ceil((blocks * bits) / 8)];
  const zeroType = isStored ? (`uint${bits}` as const) : 'uint8';
  return {
    codes: derived(
      codes[0],
      codes[1],
      packedBytes(codes[2], scheme),
      async () => (await compute()).codes,
    ),
    scales: derived(scaleType, small, byteLengthOf(scaleType, rows * blocks), async () => {
      const scales = arrange((await compute()).scales);
      return floatTensor(scaleType, small, Float64Array.from(scales)).bytes();
    }),
    zeroPoints: symmetric
      ? undefined
      : derived(zeroType, zeroShape, byteLengthOf(zeroType, count(zeroShape)), async () => {
          const { zeroPoints } = await compute();
          return isStored
            ? packCodes(arrange(zeroPoints), bits)
            : packEachRow(zeroPoints, rows, blocks, bits);
        }),
  };
}

function derived(
  dtype: DType,
  shape: readonly number[],
  byteLength: number,
  compute: () => Promise<Uint8Array>,
): Tensor {
  return new Tensor(dtype, shape, { byteLength, compute });
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** All of a matrix, part by part. */
async function quantizeMatrix(
  matrix: Matrix,
  rounding: Rounding,
  onNotFinite: OnNotFinite,
  run: Run,
): Promise<BlockPart> {
  const { data, rows, width, isTransposed } = matrix;
  const { scheme, layout } = rounding;
  const blocks = Math.ceil(width / scheme.block);
  const rowCodes = layout === 'blocks' ? blocks * scheme.block : width;
  const result: BlockPart = {
    codes: new Uint8Array(packedBytes(rows * rowCodes, scheme)),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  };
  const read = await readerOf(data);
  for (const piece of piecesOf(matrix, rounding)) {
    const task: BlockTask = {
      bytes: readPiece(read, matrix, piece),
      dtype: data.dtype,
      rows: piece.rows,
      width: piece.width,
      isTransposed,
      scheme,
      algorithm: rounding.algorithm,
      layout,
      factors: rounding.factors?.subarray(piece.k, piece.k + piece.width),
    };
    const part = await run(task);
    if ('notFinite' in part) onNotFinite(part.notFinite);
    else place(part, piece, result, matrix, rounding);
  }
  return result;
}

/** A window of a matrix: rows from `row`, elements of them from `k`. */
interface Piece {
  readonly row: number;
  readonly k: number;
  readonly rows: number;
  readonly width: number;
}

/**
 * Windows that lie in one piece in the file where that can be: whole rows, or, of a transposed
 * matrix, whole blocks of all rows; where a block is as wide as the matrix, some of the rows.
 */
function* piecesOf(matrix: Matrix, { scheme, layout }: Rounding): Generator<Piece> {
  const { rows, width, data, isTransposed } = matrix;
  const elements = PART_BYTES / byteLengthOf(data.dtype, 1);
  // Pieces begin at whole bytes of codes and of zero points.
  const aligned = (size: number, step: number) => Math.max(step, Math.floor(size / step) * step);
  if (isTransposed && scheme.block < width) {
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

type Read = (offset: number, length: number) => Uint8Array;

async function readerOf(data: Tensor): Promise<Read> {
  const { source } = data;
  if ('read' in source) return (offset, length) => source.read(offset, length);
  const bytes = await data.load();
  return (offset, length) => bytes.subarray(offset, offset + length);
}

function readPiece(read: Read, matrix: Matrix, piece: Piece): Uint8Array {
  const { data, rows, width, isTransposed } = matrix;
  const size = byteLengthOf(data.dtype, 1);
  if (!isTransposed) return read(piece.row * width * size, piece.rows * width * size);
  if (piece.rows === rows) return read(piece.k * rows * size, piece.width * rows * size);
  const run = piece.rows * size;
  const bytes = new Uint8Array(piece.width * run);
  for (let k = 0; k < piece.width; k++) {
    bytes.set(read(((piece.k + k) * rows + piece.row) * size, run), k * run);
  }
  return bytes;
}

function place(
  part: BlockPart,
  piece: Piece,
  into: BlockPart,
  { rows, width, isTransposed }: Matrix,
  { scheme, layout }: Rounding,
): void {
  const { bits, block } = scheme;
  const [all, some] = [Math.ceil(width / block), Math.ceil(piece.width / block)];
  const firstBlock = piece.k / block;
  const parameters: Window = {
    row: piece.row,
    at: firstBlock,
    rows: piece.rows,
    run: some,
    stride: all,
  };
  copyRuns(part.scales, into.scales, parameters);
  copyRuns(part.zeroPoints, into.zeroPoints, parameters);
  const bytes = (elements: number) => (elements * bits) / 8;
  if (layout === 'blocks') {
    const blob = bytes(block);
    copyRuns(part.codes, into.codes, {
      ...parameters,
      at: firstBlock * blob,
      run: some * blob,
      stride: all * blob,
    });
  } else if (!isTransposed || piece.rows === rows) {
    into.codes.set(part.codes, bytes(isTransposed ? piece.k * rows : piece.row * width));
  } else {
    const run = bytes(piece.rows);
    copyRuns(part.codes, into.codes, {
      row: piece.k,
      at: bytes(piece.row),
      rows: piece.width,
      run,
      stride: bytes(rows),
    });
  }
}

interface Window {
  readonly row: number;
  readonly at: number;
  readonly rows: number;
  readonly run: number;
  readonly stride: number;
}

/** Copies [rows, run] into a window of a wider matrix. */
function copyRuns<T extends Float32Array | Uint8Array>(from: T, into: T, window: Window): void {
  const { row, at, rows, run, stride } = window;
  if (run === stride) {
    into.set(from, row * stride);
    return;
  }
  for (let r = 0; r < rows; r++) {
    into.set(from.subarray(r * run, (r + 1) * run), (row + r) * stride + at);
  }
}
