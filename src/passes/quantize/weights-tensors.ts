// The tensors of a quantised weight: types and shapes as MatMulNBits, GatherBlockQuantized and
// DequantizeLinear want them; what is in them is computed when somebody reads them.

import { packCodes, packEachRow, transposeMatrix } from '../../tensor/block-packing.ts';
import { type BlockPart, packedBytes } from '../../tensor/block-task.ts';
import { byteLengthOf, type DType, elementCount } from '../../tensor/dtype.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Matrix, Rounding } from './weights-store.ts';

export interface PackedTensors {
  readonly codes: Tensor;
  readonly scales: Tensor;
  readonly zeroPoints: Tensor | undefined;
}

/** Codes, scales and zero points in the shapes that the operators want. */
export function packedTensors(
  matrix: Matrix,
  { scheme, layout, perChannel }: Rounding,
  compute: () => Promise<BlockPart>,
): PackedTensors {
  const { rows, width } = matrix;
  const { bits, block, symmetric, scaleType } = scheme;
  const blocks = Math.ceil(width / block);
  const isStored = layout === 'stored';
  const turned = isStored && matrix.isTransposed;
  const leading = isStored ? matrix.data.shape.slice(0, -2) : [];
  const small = perChannel ? [rows] : [...leading, ...(turned ? [blocks, rows] : [rows, blocks])];
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
      : derived(zeroType, zeroShape, byteLengthOf(zeroType, elementCount(zeroShape)), async () => {
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
