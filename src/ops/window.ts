// Windows that slide over the spatial axes: what convolutions and pooling have in common.
// output = floor((size + pads - ((kernel - 1) * dilation + 1)) / stride) + 1, or by auto_pad.
// ceil_mode rounds up, but every window starts inside the image or its leading padding
// (ONNX 5741; ORT PoolAttributes::ComputeOutputSize).

import {
  add,
  ceilDiv,
  type Dim,
  floorDiv,
  min,
  mul,
  type Shape,
  sub,
  unknownDim,
} from '../graph/index.ts';
import type { InferContext } from './context.ts';

export interface Window {
  readonly kernel: Shape;
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** All begins, then all ends. */
  readonly pads: readonly number[];
  readonly autoPad: string;
  readonly ceil: boolean;
}

/** The window a node's attributes describe, defaults filled in. */
export function windowOf(c: InferContext, kernel: Shape): Window {
  const { node } = c;
  const rank = kernel.length;
  const list = (name: string, length: number, otherwise: number): readonly number[] => {
    const given = node.ints(name);
    if (!given || given.length === 0) return new Array<number>(length).fill(otherwise);
    if (given.length !== length) {
      c.fail(`${node.op} needs ${length} numbers in "${name}", but has ${given.length}`);
    }
    return given;
  };
  return {
    kernel,
    strides: list('strides', rank, 1),
    dilations: list('dilations', rank, 1),
    pads: list('pads', 2 * rank, 0),
    autoPad: node.string('auto_pad', 'NOTSET') || 'NOTSET',
    ceil: node.int('ceil_mode', 0) !== 0,
  };
}

/** The spatial sizes after the window has slid over them. */
export function slide(c: InferContext, spatial: Shape, window: Window): Dim[] {
  if (spatial.length !== window.kernel.length) {
    c.fail(
      `${c.node.op} has a kernel of ${window.kernel.length} axes, but its input has ${spatial.length} spatial axes`,
    );
  }
  return spatial.map((size, axis) => slideAxis(c, size, axis, window));
}

function slideAxis(c: InferContext, size: Dim, axis: number, window: Window): Dim {
  const stride = window.strides[axis] as number;
  if (window.autoPad.startsWith('SAME')) return ceilDiv(size, stride);
  const isValid = window.autoPad === 'VALID';
  const begin = isValid ? 0 : (window.pads[axis] as number);
  const end = isValid ? 0 : (window.pads[axis + window.kernel.length] as number);
  const extent = extentOf(window, axis);
  const room = sub(add(size, begin + end), extent);
  if (typeof room === 'number' && room < 0) {
    c.fail(
      `${c.node.op} needs at least ${extent} elements along spatial axis ${axis}, but has ${size} and ${begin + end} of padding`,
    );
  }
  if (!window.ceil) return add(floorDiv(room, stride), 1);
  const count = add(ceilDiv(room, stride), 1);
  // Only where the last window could start beyond the image does the second bound matter.
  const reach = sub(end + stride, extent);
  if (typeof reach === 'number' && reach <= 0) return count;
  return min(count, ceilDiv(add(size, begin), stride));
}

/** Elements a dilated kernel spans. */
export function extentOf(window: Window, axis: number): Dim {
  const kernel = window.kernel[axis] as Dim;
  return add(mul(sub(kernel, 1), window.dilations[axis] as number), 1);
}

/** As many unknown sizes. */
export function unknownDims(count: number): Dim[] {
  return Array.from({ length: count }, unknownDim);
}
