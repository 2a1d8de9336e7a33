// Sizes for inputs whose shapes the model leaves open: what the user gave, else what such a
// dimension usually is, judged by its name and place. What was assumed is told to the user.

import { type Dim, isUnknown, substitute, symbolsOf } from '../graph/index.ts';
import { isInteger } from '../tensor/dtype.ts';
import type { InputSpec } from './dataset.ts';

export interface SizeOptions {
  /** Size of the batch dimension; default 1. */
  readonly batch?: number | undefined;
  /** Sizes the user gave: by the dimension's name, or by `input.axis`. */
  readonly sizes?: ReadonlyMap<string, number> | undefined;
}

export interface Sized<Spec extends InputSpec = InputSpec> {
  readonly inputs: readonly (Omit<Spec, 'shape'> & { readonly shape: readonly number[] })[];
  /** Dimensions that were neither fixed nor given, by name or `input.axis`; batches excepted. */
  readonly assumed: ReadonlyMap<string, number>;
  /** Whether any input has a dimension that follows `batch`. */
  readonly hasBatch: boolean;
}

const IMAGE_SIZE = 224;
const SEQUENCE_LENGTH = 16;
/** Raw audio: 32 ms at 16 kHz, the frame of most voice models. */
const AUDIO_SAMPLES = 512;

/** Inputs with every size known. */
export function assumeSizes<Spec extends InputSpec>(
  inputs: readonly Spec[],
  options: SizeOptions = {},
): Sized<Spec> {
  const { batch = 1, sizes = new Map<string, number>() } = options;
  const assumed = new Map<string, number>();
  const chosen = new Map<string, number>();
  let hasBatch = false;
  const choose = (symbol: string, spec: InputSpec, axis: number): number => {
    const place = `${spec.name}.${axis}`;
    const given = sizes.get(symbol) ?? sizes.get(place) ?? chosen.get(symbol);
    if (given !== undefined) return given;
    const isBatch = isBatchDim(symbol, spec, axis);
    const size = isBatch ? batch : usualSize(symbol, spec, axis);
    chosen.set(symbol, size);
    if (isBatch) hasBatch = true;
    else assumed.set(symbol.startsWith('?') ? place : symbol, size);
    return size;
  };
  const sized = inputs.map((spec) => {
    const shape = spec.shape.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const known = new Map(symbolsOf(dim).map((s) => [s, choose(s, spec, axis)] as const));
      return numberOf(substitute(dim, known));
    });
    return { ...spec, shape };
  });
  return { inputs: sized, assumed, hasBatch };
}

function numberOf(dim: Dim): number {
  return typeof dim === 'number' ? Math.max(0, dim) : 1;
}

/** What the dimension that counts samples is called. */
export function isBatchName(symbol: string): boolean {
  return /batch|^(n|b|bs)$/i.test(symbol);
}

/** Called so, or nameless and the first open dimension of its input. */
function isBatchDim(symbol: string, spec: InputSpec, axis: number): boolean {
  if (isBatchName(symbol)) return true;
  const firstOpen = spec.shape.findIndex((dim) => typeof dim !== 'number');
  if (axis !== firstOpen) return false;
  const dim = spec.shape[axis];
  return axis === 0 || (dim !== undefined && isUnknown(dim));
}

function usualSize(symbol: string, spec: InputSpec, axis: number): number {
  const { shape, dtype } = spec;
  if (/past|cache/i.test(symbol)) return 0;
  if (/height|width|^(h|w)$/i.test(symbol) || isPixelAxis(shape, axis)) return IMAGE_SIZE;
  if (/samples|audio|wave/i.test(symbol)) return AUDIO_SAMPLES;
  if (shape.length === 2 && !isInteger(dtype) && dtype !== 'bool') return AUDIO_SAMPLES;
  return SEQUENCE_LENGTH;
}

/** The two axes of a rank 4 input beside batch and a channel axis of 1 to 4. */
function isPixelAxis(shape: readonly Dim[], axis: number): boolean {
  if (shape.length !== 4 || axis === 0) return false;
  const isChannels = (dim: Dim | undefined) => typeof dim === 'number' && dim <= 4;
  if (isChannels(shape[1])) return axis >= 2;
  return isChannels(shape[3]) && axis <= 2;
}
