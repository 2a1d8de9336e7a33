// Tensors addressed by content: equal type, shape and bytes give equal keys (NaNs bit by bit).

import { createHash } from 'node:crypto';
import type { Tensor } from './tensor.ts';

/** Reads the tensor in pieces of 8 MiB. Strings are separated, so that ["ab"] differs from ["a", "b"]. */
export async function contentKey(tensor: Tensor): Promise<string> {
  const hash = createHash('sha256').update(`${tensor.dtype} [${tensor.shape.join(',')}] `);
  if ('strings' in tensor.source) {
    for (const text of tensor.source.strings) hash.update(`${text.length}:`).update(text);
  } else {
    for await (const chunk of tensor.chunks()) hash.update(chunk);
  }
  return hash.digest('base64');
}
