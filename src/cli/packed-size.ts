// How large weights are once packed: what zeros among them win for storage and download.

import * as zlib from 'node:zlib';
import type { Model } from '../graph/index.ts';

/** Bytes by packer; zstd from Node 22.15 on. */
export type PackedSize = Readonly<Partial<Record<'zip' | 'zstd', number>>>;

const { zstdCompressSync } = zlib as {
  zstdCompressSync?: (bytes: Uint8Array) => Uint8Array;
};

/** All weights, packed one by one: deflated as zip does it, in the quickest way, and by zstd. */
export async function packedSize(model: Model): Promise<PackedSize> {
  let zip = 0;
  let zstd = 0;
  for (const { data } of model.graph.initializers) {
    if (!data || data.dtype === 'string') continue;
    const bytes = await data.load();
    zip += zlib.deflateRawSync(bytes, { level: 1 }).length;
    zstd += zstdCompressSync?.(bytes).length ?? 0;
  }
  return { zip, ...(zstdCompressSync ? { zstd } : {}) };
}
