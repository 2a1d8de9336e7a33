// Gradients of Fourier transforms. A transform is linear; seen as a map of real and imaginary parts,
// its transpose is the transform with the other sign: n times the inverse one, or the n-th part of it.

import { isStatic, type Value } from '../../graph/index.ts';
import { type GradientContext, gradients, UnknownShape } from '../gradient.ts';

type C = GradientContext;

/** Fills up with zeros, or cuts, an axis to `size` elements. */
function sized(c: C, value: Value, axis: number, size: number): Value {
  const own = value.shape?.[axis];
  if (typeof own !== 'number') throw new UnknownShape(value);
  if (own === size) return value;
  const pads = new Array<number>(2 * c.rank(value)).fill(0);
  pads[c.rank(value) + axis] = size - own;
  return c.op('Pad', [value, c.ints(pads)]);
}

/** The transpose of a transform of `size` elements, [… k, 2] → [… n, 2]. */
function transposedTransform(c: C, dy: Value, axis: number, size: number, inverse: number): Value {
  const full = sized(c, dy, axis, size);
  const attrs = { inverse: 1 - inverse };
  const turned =
    c.opset < 20
      ? c.op('DFT', [full], { ...attrs, axis })
      : c.op('DFT', [full, undefined, c.int(axis)], attrs);
  return c.scale(turned, inverse ? 1 / size : size);
}

/** The real part, where the signal had no other. */
function realPart(c: C, value: Value): Value {
  return c.op('Slice', [value, c.ints([0]), c.ints([1]), c.ints([-1])]);
}

function dft(c: C): (Value | undefined)[] {
  const x = c.x();
  const rank = c.rank(x);
  const inverse = c.node.int('inverse', 0);
  if (inverse && c.node.int('onesided', 0)) c.unsupported('DFT back from one side');
  const given = c.opset < 20 ? c.node.int('axis', 1) : c.has(2) ? c.constantNumbers(2)?.[0] : -2;
  if (given === undefined) throw new UnknownShape(c.x(2));
  const axis = given < 0 ? given + rank : given;
  if (!x.shape || !isStatic(x.shape)) throw new UnknownShape(x);
  const length = x.shape[axis] ?? 1;
  const size = c.has(1) ? c.constantNumbers(1)?.[0] : length;
  if (size === undefined) throw new UnknownShape(c.x(1));
  const dx = sized(c, transposedTransform(c, c.dy(), axis, size, inverse), axis, length);
  return [x.shape.at(-1) === 1 ? realPart(c, dx) : dx];
}

/** Frames [B, F, n] are windowed and transformed each; back, they are added up where they overlap. */
function stft(c: C): (Value | undefined)[] {
  const [signal, out] = [c.staticShape(c.x()), c.staticShape(c.y())];
  if (!signal || !out) throw new UnknownShape(signal ? c.y() : c.x());
  if (signal.length === 3 && signal[2] === 2) c.unsupported('STFT of complex signals');
  if (c.wants(2)) c.unsupported('STFT by its window');
  const [batch = 1, frames = 1] = out;
  const step = c.constantNumbers(1)?.[0];
  const size = c.has(3) ? c.constantNumbers(3)?.[0] : c.staticShape(c.x(2))?.[0];
  if (step === undefined || size === undefined) throw new UnknownShape(c.x(1));
  const back = realPart(c, transposedTransform(c, c.dy(), 2, size, 0));
  const frame = c.op('Reshape', [back, c.ints([batch, frames, size])]);
  const windowed = c.has(2) ? c.mul(frame, c.x(2)) : frame;
  const attrs = { strides: [step] };
  const columns = c.transpose(windowed, [0, 2, 1]);
  const image = c.ints([signal[1] ?? 1]);
  const sum = c.op('Col2Im', [columns, image, c.ints([size])], attrs);
  return [c.reshapeLike(sum, c.x()), undefined, undefined, undefined];
}

gradients({ DFT: dft, STFT: stft, MelWeightMatrix: 'stop' });
