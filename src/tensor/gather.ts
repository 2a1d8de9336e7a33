// Keeping some positions along axes of a tensor (ONNX Gather with constant indices), at once where the
// result is small, else when somebody reads it.

import { byteLengthOf, dtypeInfo, elementCount } from './dtype.ts';
import { Tensor } from './tensor.ts';

const EAGER_BYTES = 1 << 20;

/** The positions to keep by axis; axes that are not named stay whole. */
export type Selection = ReadonlyMap<number, readonly number[]>;

export function selectTensor(tensor: Tensor, selection: Selection): Tensor {
  const { dtype } = tensor;
  const shape = tensor.shape.map((size, axis) => selection.get(axis)?.length ?? size);
  if ('strings' in tensor.source) {
    const { strings } = tensor.source;
    const places = Float64Array.from(strings, (_, i) => i);
    const kept = selectBytes(new Uint8Array(places.buffer), tensor.shape, selection, 8);
    const indices = new Float64Array(kept.buffer);
    return Tensor.strings(
      shape,
      Array.from(indices, (i) => strings[i] as Uint8Array),
    );
  }
  const byteLength = byteLengthOf(dtype, elementCount(shape));
  const select = (bytes: Uint8Array) => selectElements(bytes, tensor, selection);
  if (!tensor.isDerived && tensor.byteLength <= EAGER_BYTES) {
    return Tensor.fromBytes(dtype, shape, select(tensor.bytes()));
  }
  const compute = async () => select(await tensor.load());
  return new Tensor(dtype, shape, { byteLength, compute });
}

function selectElements(bytes: Uint8Array, { dtype, shape }: Tensor, selection: Selection) {
  const { bits } = dtypeInfo(dtype);
  if (bits >= 8) return selectBytes(bytes, shape, selection, bits / 8);
  return pack(selectBytes(unpack(bytes, elementCount(shape), bits), shape, selection, 1), bits);
}

/** Axis by axis from the first: what is left shrinks as early as it can. */
function selectBytes(
  bytes: Uint8Array,
  shape: readonly number[],
  selection: Selection,
  width: number,
): Uint8Array {
  let current = bytes;
  const sizes = [...shape];
  for (const [axis, kept] of [...selection].sort(([a], [b]) => a - b)) {
    const row = elementCount(sizes.slice(axis + 1)) * width;
    current = selectRows(current, sizes[axis] as number, row, kept);
    sizes[axis] = kept.length;
  }
  return current;
}

/** Bytes are blocks of `size` rows; keeps the named rows of each. */
function selectRows(
  bytes: Uint8Array,
  size: number,
  row: number,
  kept: readonly number[],
): Uint8Array {
  const blocks = size * row === 0 ? 0 : bytes.byteLength / (size * row);
  const result = new Uint8Array(blocks * kept.length * row);
  // Single elements are copied faster as such than as rows of bytes.
  if (row === 4 && bytes.byteOffset % 4 === 0) {
    const from = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const to = new Uint32Array(result.buffer);
    let at = 0;
    for (let block = 0; block < blocks; block++) {
      const start = block * size;
      for (const position of kept) to[at++] = from[start + position] as number;
    }
    return result;
  }
  let at = 0;
  for (let block = 0; block < blocks; block++) {
    const start = block * size;
    for (const position of kept) {
      const from = (start + position) * row;
      result.set(bytes.subarray(from, from + row), at);
      at += row;
    }
  }
  return result;
}

function unpack(bytes: Uint8Array, count: number, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  return Uint8Array.from({ length: count }, (_, i) => {
    return ((bytes[Math.floor(i / perByte)] as number) >> ((i % perByte) * bits)) & mask;
  });
}

function pack(codes: Uint8Array, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const bytes = new Uint8Array(Math.ceil(codes.length / perByte));
  codes.forEach((code, i) => {
    const at = Math.floor(i / perByte);
    bytes[at] = (bytes[at] as number) | (code << ((i % perByte) * bits));
  });
  return bytes;
}
