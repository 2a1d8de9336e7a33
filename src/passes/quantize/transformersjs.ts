// The files that the library transformers.js loads, as settings of our own modes. What each one is
// follows the library's scripts/quantize.py and scripts/convert.py as they were until 2026-01-28:
// dynamic quantisation with constant weights for the 8-bit files; MatMulNBits, 32 weights to a scale,
// symmetric, for q4; half precision with float32 inputs and outputs for fp16, and on top of q4 for
// q4f16; MatMulBnb4 with NormalFloat4, 64 weights to a scale, for bnb4.

import { allGraphs, type Model } from '../../graph/index.ts';
import { layerName, type Precision } from './context.ts';
import type { Settings } from './settings.ts';

/** The library's names for them (its option `dtype`). */
export const WEB_DTYPES = ['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4', 'q4f16', 'bnb4'] as const;
export type WebDType = (typeof WEB_DTYPES)[number];

/** What the library puts between the name of a model and `.onnx`. */
export const SUFFIXES: Readonly<Record<WebDType, string>> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
};

/** Applied one after the other to the float model; none for the float model itself. */
export function stepsOf(dtype: WebDType, model: Model): readonly Settings[] {
  switch (dtype) {
    case 'fp32':
      return [];
    case 'fp16':
      return [HALF];
    case 'q8':
      return [integers(prefersUnsigned(model) ? 'uint8' : 'int8', model)];
    case 'int8':
    case 'uint8':
      return [integers(dtype, model)];
    case 'q4':
      return [FOUR_BITS];
    case 'q4f16':
      return [FOUR_BITS, HALF];
    case 'bnb4':
      return [{ ...FOUR_BITS, format: 'bnb4', block: 64 }];
  }
}

const BASE: Settings = {
  mode: 'dynamic',
  bits: 8,
  activations: 'uint8',
  weights: 'int8',
  perChannel: true,
  format: 'auto',
  block: 32,
  algorithm: 'rtn',
  keepIo: true,
  improvements: [],
};

const FOUR_BITS: Settings = { ...BASE, mode: 'weights', bits: 4, symmetric: true, format: 'nbits' };

const HALF: Settings = { ...BASE, mode: 'fp16', bits: 16 };

/**
 * Nobody knows on which processors the files will run: int8 weights lose a bit, so that products do
 * not saturate on those without VNNI. Products of two uint8 never do. Decoders keep all bits, as they
 * did in the library's script: an error there is fed back with every token.
 */
function integers(weights: 'int8' | 'uint8', model: Model): Settings {
  return { ...BASE, weights, reduceRange: weights === 'int8' && !isDecoder(model) };
}

/**
 * Convolutions, too, are quantised at run time, although that gains no time: browsers load the 8-bit
 * file unless they are told otherwise, so there must be one, and it must be small.
 */
export function layersOf(model: Model, { mode }: Settings): ReadonlyMap<string, Precision> {
  const layers = new Map<string, Precision>();
  if (mode !== 'dynamic') return layers;
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) if (node.op === 'Conv') layers.set(layerName(node), 'int8');
  }
  return layers;
}

/** Operators whose integer kernels in browsers take uint8 weights only, or are better with them. */
const UNSIGNED = new Set(['Conv', 'GroupQueryAttention', 'MultiHeadAttention']);

function prefersUnsigned(model: Model): boolean {
  return [...allGraphs(model)].some((graph) =>
    [...graph.nodes].some((node) => UNSIGNED.has(node.op)),
  );
}

/** Takes or gives the keys and values of tokens that were there before. */
export function isDecoder({ graph }: Model): boolean {
  return (
    graph.inputs.some(({ name }) => name.startsWith('past')) ||
    graph.outputs.some(({ name }) => name.startsWith('present'))
  );
}
