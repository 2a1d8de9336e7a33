// What a web runtime is asked to do, and what it answers: in a browser's page and in a Node process
// alike. Tensors travel as one block of bytes,
//
//   [length of the header, 8 bytes][header, JSON][tensors, each at a multiple of 8],
//
// because JSON knows no typed arrays and every element type is aligned at 8.

import type { DType } from '../../tensor/dtype.ts';
import type { WireFeeds } from '../protocol.ts';

export const WEB_PROVIDERS = ['wasm', 'webgpu'] as const;
export type WebProvider = (typeof WEB_PROVIDERS)[number];

/** Weights outside of the model's file: the name in the model, and where the bytes are. */
export interface WebDataFile {
  readonly path: string;
  /** A URL in a browser, a path in Node. */
  readonly data: string;
}

export interface WebModel {
  /** A URL in a browser, a path in Node. */
  readonly source: string;
  readonly externalData: readonly WebDataFile[];
}

export interface WebTask {
  readonly provider: WebProvider;
  readonly threads: number;
  readonly models: readonly WebModel[];
  /** Counted runs of each model, after the first one, which gives the outputs. */
  readonly runs: number;
  /** Milliseconds after which no further round of runs begins; one round always does. */
  readonly budgetMs: number;
}

/** What became of one model. */
export interface WebAnswer {
  readonly loadMs: number;
  /** Of each counted run; position i of all models was measured together. */
  readonly samples: readonly number[];
  /** What onnxruntime-web said where it refused, and when. */
  readonly failure?: { readonly doing: 'load' | 'run'; readonly message: string };
}

interface Row {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly length: number;
  readonly strings?: readonly string[];
}

const ALIGNMENT = 8;

export function packTensors(feeds: WireFeeds): Uint8Array<ArrayBuffer> {
  const rows = feeds.map(([name, { dtype, shape, bytes, strings }]): Row => {
    const row = { name, dtype, shape, length: bytes.length };
    return strings ? { ...row, strings } : row;
  });
  const header = new TextEncoder().encode(JSON.stringify(rows));
  const start = ALIGNMENT + aligned(header.length);
  const size = feeds.reduce((sum, [, { bytes }]) => sum + aligned(bytes.length), start);
  const block = new Uint8Array(size);
  new DataView(block.buffer).setFloat64(0, header.length);
  block.set(header, ALIGNMENT);
  let at = start;
  for (const [, { bytes }] of feeds) {
    block.set(bytes, at);
    at += aligned(bytes.length);
  }
  return block;
}

export function unpackTensors(block: ArrayBuffer): WireFeeds {
  const length = new DataView(block).getFloat64(0);
  const header = new TextDecoder().decode(new Uint8Array(block, ALIGNMENT, length));
  let at = ALIGNMENT + aligned(length);
  return (JSON.parse(header) as Row[]).map(({ name, dtype, shape, length: size, strings }) => {
    // A copy: whoever gets it may hand its buffer on.
    const bytes = new Uint8Array(block.slice(at, at + size));
    at += aligned(size);
    return [name, { dtype, shape, bytes, ...(strings ? { strings } : {}) }] as const;
  });
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
