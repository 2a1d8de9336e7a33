// Quantised weights as tensors that are computed when somebody reads them, a part at a time: memory
// holds the codes of one weight and a few megabytes of floats, whatever the size of the model. What
// was computed last is kept for a while, as codes, scales and zero points are read one by one.

import {
  type BlockAlgorithm,
  type BlockLayout,
  type BlockPart,
  type BlockTask,
  packedBytes,
  quantizePart,
} from '../../tensor/block-task.ts';
import type { BlockScheme } from '../../tensor/blocks.ts';
import type { Feedback } from '../../tensor/feedback.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { poolSize, quantizeInPool } from '../../threads/pool.ts';
import {
  PIECE_BYTES,
  type Piece,
  pieceBytes,
  piecesOf,
  readerOf,
  readPiece,
} from './weights-pieces.ts';
import { type PackedTensors, packedTensors } from './weights-tensors.ts';

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
  /** Scales as a vector. */
  readonly perChannel: boolean;
  readonly factors?: Float64Array | undefined;
  readonly feedback?: Feedback | undefined;
}

/** Called with the index of an element that is NaN or infinite; throws. */
export type OnNotFinite = (index: number) => never;

/** Weights of more bytes are quantised by several threads. */
const THREADED_BYTES = 2 * PIECE_BYTES;
/** Packed bytes that are kept after they were computed. */
const KEPT_BYTES = 192 << 20;

interface Job {
  readonly bytes: number;
  compute(): Promise<BlockPart>;
}

/** Weights in the order in which a writer will come to them. */
export class WeightStore {
  readonly #jobs: Job[] = [];
  /** What was read last comes last. */
  readonly #kept = new Map<Job, Promise<BlockPart>>();

  /** The tensors of a weight; nothing is computed yet. */
  tensors(matrix: Matrix, rounding: Rounding, onNotFinite: OnNotFinite): PackedTensors {
    const job: Job = {
      bytes: packedBytes(matrix.rows * matrix.width, rounding.scheme),
      compute: () => quantizeMatrix(matrix, rounding, onNotFinite),
    };
    this.#jobs.push(job);
    return packedTensors(matrix, rounding, () => this.#result(job));
  }

  /** The tensors of a weight that is quantised at once. */
  async quantized(
    matrix: Matrix,
    rounding: Rounding,
    onNotFinite: OnNotFinite,
  ): Promise<PackedTensors> {
    const part = quantizeMatrix(matrix, rounding, onNotFinite);
    await part;
    return packedTensors(matrix, rounding, () => part);
  }

  /** Begins with the next one, too: while somebody writes this one, the threads are free. */
  #result(job: Job): Promise<BlockPart> {
    const next = this.#jobs[this.#jobs.indexOf(job) + 1];
    const result = this.#kept.get(job) ?? job.compute();
    if (next && !this.#kept.has(next)) {
      const begin = () => next.compute();
      const early = result.then(begin, begin);
      // Whoever asks for it will hear of the failure.
      early.catch(() => {});
      this.#kept.set(next, early);
    }
    this.#kept.delete(job);
    this.#kept.set(job, result);
    this.#forget();
    return result;
  }

  #forget(): void {
    let total = 0;
    for (const { bytes } of this.#kept.keys()) total += bytes;
    for (const job of this.#kept.keys()) {
      if (total <= KEPT_BYTES || this.#kept.size <= 2) return;
      this.#kept.delete(job);
      total -= job.bytes;
    }
  }
}

/** All of a matrix, piece by piece. */
async function quantizeMatrix(
  matrix: Matrix,
  rounding: Rounding,
  onNotFinite: OnNotFinite,
): Promise<BlockPart> {
  const { data, rows, width } = matrix;
  const { scheme, layout } = rounding;
  const blocks = Math.ceil(width / scheme.block);
  const rowCodes = layout === 'blocks' ? blocks * scheme.block : width;
  const result: BlockPart = {
    codes: new Uint8Array(packedBytes(rows * rowCodes, scheme)),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  };
  const read = await readerOf(data);
  const isThreaded = data.byteLength > THREADED_BYTES || rounding.feedback !== undefined;
  const run = async (piece: Piece): Promise<void> => {
    const count = pieceBytes(matrix, piece);
    const memory = isThreaded ? borrow(count) : undefined;
    const bytes = memory ? new Uint8Array(memory, 0, count) : new Uint8Array(count);
    readPiece(read, matrix, piece, bytes);
    const task = taskOf(bytes, matrix, rounding, piece);
    const part = isThreaded ? await quantizeInPool(task) : quantizePart(task);
    if (memory) giveBack(memory);
    if ('notFinite' in part) onNotFinite(part.notFinite);
    else place(part, piece, result, matrix, rounding);
  };
  const running: Promise<void>[] = [];
  try {
    for (const piece of piecesOf(matrix, rounding)) {
      if (running.length > poolSize()) await running.shift();
      const done = run(piece);
      // It is waited for in its turn: a failure before that is not one that nobody hears of.
      done.catch(() => {});
      running.push(done);
    }
  } finally {
    await Promise.all(running);
  }
  return result;
}

/** Memory that is shared with the threads and used again: nothing to copy, nothing to clean up. */
const idle: SharedArrayBuffer[] = [];
const MAX_IDLE = 10;

function borrow(bytes: number): SharedArrayBuffer {
  const at = idle.findIndex((memory) => memory.byteLength >= bytes);
  const [found] = at < 0 ? [] : idle.splice(at, 1);
  return found ?? new SharedArrayBuffer(bytes);
}

function giveBack(memory: SharedArrayBuffer): void {
  idle.push(memory);
  if (idle.length > MAX_IDLE) idle.shift();
}

function taskOf(bytes: Uint8Array, matrix: Matrix, rounding: Rounding, piece: Piece): BlockTask {
  const { rows, width, k } = piece;
  return {
    ...rounding,
    bytes,
    dtype: matrix.data.dtype,
    rows,
    width,
    isTransposed: matrix.isTransposed,
    factors: rounding.factors?.subarray(k, k + width),
  };
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
