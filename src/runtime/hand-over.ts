// A model from memory to onnxruntime: as bytes, or, beyond the 2 GB a message can hold, as a
// temporary file with its weights beside it.

import { join } from 'node:path';
import { allGraphs, type Model } from '../graph/index.ts';
import { encodeModel, writeModel } from '../onnx/index.ts';
import { scratchFolder } from './scratch.ts';

/** Room for everything but weights below protobuf's limit of 2^31 - 1 bytes. */
const MAX_WEIGHT_BYTES = 2 ** 31 - 2 ** 27;

export interface HandOver {
  readonly source: string | Uint8Array;
  /** To call once the session is open. */
  release(): void;
}

export async function handOver(model: Model): Promise<HandOver> {
  if (weightBytes(model) <= MAX_WEIGHT_BYTES) {
    return { source: await encodeModel(model), release: () => {} };
  }
  const folder = scratchFolder();
  const release = () => folder.remove();
  try {
    const source = join(folder.path, 'model.onnx');
    await writeModel(model, source, { externalData: true });
    return { source, release };
  } catch (error) {
    release();
    throw error;
  }
}

function weightBytes(model: Model): number {
  let bytes = 0;
  for (const graph of allGraphs(model)) {
    for (const value of graph.initializers) bytes += value.data?.byteLength ?? 0;
    for (const node of graph.nodes) {
      for (const attr of node.attrs.values()) {
        if (attr.type === 'tensor') bytes += attr.value.byteLength;
      }
    }
  }
  return bytes;
}
