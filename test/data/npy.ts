// Writes NumPy files as the format's specification has it (numpy.lib.format, version 1.0).

import { zipSync } from 'fflate';

/** The bytes of a .npy file around the raw elements. */
export function npyBytes(
  descr: string,
  shape: readonly number[],
  elements: ArrayBufferView,
  { fortran = false, version = 1 } = {},
): Uint8Array {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const order = fortran ? 'True' : 'False';
  const dict = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${dims}), }`;
  const fixed = version === 1 ? 10 : 12;
  const size = Math.ceil((fixed + dict.length + 1) / 64) * 64 - fixed;
  const head = Buffer.alloc(fixed + size, ' ');
  head.write('\x93NUMPY', 0, 'latin1');
  head[6] = version;
  head[7] = 0;
  if (version === 1) head.writeUInt16LE(size, 8);
  else head.writeUInt32LE(size, 8);
  head.write(`${dict.padEnd(size - 1)}\n`, fixed, 'latin1');
  const { buffer, byteOffset, byteLength } = elements;
  return Buffer.concat([head, new Uint8Array(buffer, byteOffset, byteLength)]);
}

/** The bytes of a .npz archive, stored as `np.savez` or deflated as `np.savez_compressed`. */
export function npzBytes(entries: Readonly<Record<string, Uint8Array>>, level: 0 | 6 = 0) {
  const named = Object.entries(entries).map(([name, bytes]) => [`${name}.npy`, bytes]);
  return zipSync(Object.fromEntries(named), { level });
}
