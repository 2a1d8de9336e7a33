// How large weights are once packed: what zeros among them win for storage and download.

import { deflateRawSync } from 'node:zlib';
import type { Model } from '../graph/index.ts';

export const PACKERS = ['zip', 'zstd'] as const;

/** Bytes by packer. */
export type PackedSize = Readonly<Record<(typeof PACKERS)[number], number>>;

/** All weights, packed in pieces of some megabytes: deflated as zip does it, in the quickest way, and by zstd. */
export async function packedSize(model: Model): Promise<PackedSize> {
  const { Zstd } = await import('@hpcc-js/wasm-zstd');
  const packer = await Zstd.load();
  let [zip, zstd] = [0, 0];
  for (const { data } of model.graph.initializers) {
    if (!data || data.dtype === 'string') continue;
    for await (const bytes of data.chunks()) {
      zip += deflateRawSync(bytes, { level: 1 }).length;
      zstd += packer.compress(bytes).length;
    }
  }
  return { zip, zstd };
}
