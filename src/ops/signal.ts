// Signals: windows, Fourier transforms, mel filters. A transform of length n counts 2 n log2(n)
// multiply-adds (radix 2: n / 2 * log2(n) complex butterflies of four).

import {
  add,
  type Dim,
  floorDiv,
  mul,
  product,
  type Shape,
  sub,
  unknownDim,
} from '../graph/index.ts';
import { dtypeOf } from '../tensor/dtype.ts';
import type { InferContext } from './context.ts';
import { define, type OpSpec, tensor } from './op.ts';

const FLOAT = 1;

/** Bins of a transform of a real signal that are not mirrored. */
function oneSided(length: Dim): Dim {
  return add(floorDiv(length, 2), 1);
}

function fourierCost(transforms: Dim, length: Dim): Dim | undefined {
  if (typeof length !== 'number') return undefined;
  return mul(transforms, Math.ceil(2 * length * Math.log2(Math.max(2, length))));
}

function size(c: InferContext, index: number): Dim | undefined {
  return c.has(index) ? c.known(index)?.[0] : undefined;
}

/** The axis of a DFT: an attribute in opset 17, an input since 20. */
function fourierAxis(c: InferContext, rank: number): number | undefined {
  if (c.opset < 20) return c.axis(c.node.int('axis', 1), rank);
  if (!c.has(2)) return rank - 2;
  const given = c.knownNumbers(2)?.[0];
  return given === undefined ? undefined : c.axis(given, rank);
}

/** The last axis holds real and imaginary parts. */
function fourierShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  const axis = fourierAxis(c, x.length);
  const [isInverse, isOneSided] = [c.node.int('inverse', 0) === 1, c.node.int('onesided', 0) === 1];
  const isReal = isInverse && isOneSided;
  const parts = isReal ? 1 : 2;
  if (axis === undefined) return [...x.slice(0, -1).map(unknownDim), parts];
  const given = c.has(1) ? (size(c, 1) ?? unknownDim()) : undefined;
  const length = given ?? (isReal ? mul(sub(x[axis] as Dim, 1), 2) : (x[axis] as Dim));
  const dims = [...x];
  dims[axis] = isOneSided && !isInverse ? oneSided(length) : length;
  dims[x.length - 1] = parts;
  return dims;
}

/** [batch, samples, 1 or 2] → [batch, frames, bins, 2] */
function shortTimeShape(c: InferContext): Shape | undefined {
  const signal = c.shape(0);
  const frame = frameLength(c);
  const step = size(c, 1);
  if (!signal) return undefined;
  const samples = signal[1] as Dim;
  const isKnown = frame !== undefined && step !== undefined;
  const frames = isKnown ? add(floorDiv(sub(samples, frame), step), 1) : unknownDim();
  const isOneSided = c.node.int('onesided', 1) === 1;
  const bins = frame === undefined ? unknownDim() : isOneSided ? oneSided(frame) : frame;
  return [signal[0] as Dim, frames, bins, 2];
}

function frameLength(c: InferContext): Dim | undefined {
  return size(c, 3) ?? (c.has(2) ? c.shape(2)?.[0] : undefined);
}

function windowFunction(op: string): OpSpec {
  return {
    op,
    infer(c) {
      return [tensor(dtypeOf(c.node.int('output_datatype', FLOAT)), [size(c, 0) ?? unknownDim()])];
    },
  };
}

define(
  windowFunction('HannWindow'),
  windowFunction('HammingWindow'),
  windowFunction('BlackmanWindow'),
  {
    // [dft_length / 2 + 1, num_mel_bins]
    op: 'MelWeightMatrix',
    infer(c) {
      const [bins, length] = [size(c, 0) ?? unknownDim(), size(c, 1)];
      const spectrum = length === undefined ? unknownDim() : oneSided(length);
      return [tensor(dtypeOf(c.node.int('output_datatype', FLOAT)), [spectrum, bins])];
    },
  },
  {
    op: 'DFT',
    infer: (c) => [tensor(c.dtype(0), fourierShape(c))],
    cost(c) {
      const [x, y] = [c.shape(0), c.node.output.shape];
      const axis = x && fourierAxis(c, x.length);
      if (!x || !y || axis === undefined) return undefined;
      const length = size(c, 1) ?? (x[axis] as Dim);
      const others = y.slice(0, -1).filter((_, i) => i !== axis);
      return fourierCost(product(others), length);
    },
  },
  {
    op: 'STFT',
    infer: (c) => [tensor(c.dtype(0), shortTimeShape(c))],
    cost(c) {
      const y = c.node.output.shape;
      const frame = frameLength(c);
      return y && frame !== undefined ? fourierCost(product(y.slice(0, 2)), frame) : undefined;
    },
  },
);
