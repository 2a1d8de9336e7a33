// How the axes of an array become those of a model input: as they are, with axes of size 1 added or
// dropped, flattened, or with the channels moved.

import { type Dim, isStatic } from '../graph/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import type { Layout } from './options.ts';

export interface Arrangement {
  /** Shape of one sample after it. */
  readonly shape: readonly number[];
  /** Axis order of the sample to apply first; undefined: none. */
  readonly permute?: readonly number[];
}

const CHW_TO_HWC = [1, 2, 0];
const HWC_TO_CHW = [2, 0, 1];

/** The way from a sample's shape to the wanted one; undefined if there is none. */
export function arrange(
  sample: readonly number[],
  wanted: readonly Dim[],
  layout: Layout | undefined,
): Arrangement | undefined {
  const moved = layout && moveChannels(sample, layout);
  if (moved && fits(moved.shape, wanted)) return moved;
  if (fits(sample, wanted)) return { shape: sample };
  if (sample.length === 3) {
    for (const permute of [HWC_TO_CHW, CHW_TO_HWC]) {
      const shape = permuted(sample, permute);
      if (fits(shape, wanted)) return { shape, permute };
    }
  }
  return reshaped(sample, wanted, layout);
}

export function fits(shape: readonly number[], wanted: readonly Dim[]): boolean {
  return (
    shape.length === wanted.length &&
    shape.every((dim, i) => typeof wanted[i] !== 'number' || wanted[i] === dim)
  );
}

export function permuted(shape: readonly number[], order: readonly number[]): number[] {
  return order.map((axis) => shape[axis] as number);
}

/** Channels moved to where the layout wants them, if the sample clearly has them elsewhere. */
function moveChannels(sample: readonly number[], layout: Layout): Arrangement | undefined {
  if (sample.length !== 3) return undefined;
  const isChannels = (dim: number | undefined) => dim === 1 || dim === 3 || dim === 4;
  const first = isChannels(sample[0]);
  const last = isChannels(sample[2]);
  if (first === last || first === (layout === 'nchw')) return undefined;
  const permute = layout === 'nchw' ? HWC_TO_CHW : CHW_TO_HWC;
  return { shape: permuted(sample, permute), permute };
}

/** Axes of size 1 added or dropped, a flattened sample, or a flat one given its shape. */
function reshaped(
  sample: readonly number[],
  wanted: readonly Dim[],
  layout: Layout | undefined,
): Arrangement | undefined {
  const count = elementCount(sample);
  if (isStatic(wanted)) {
    const bare = (shape: readonly number[]) => shape.filter((dim) => dim !== 1);
    const same = bare(sample).join() === bare(wanted).join();
    const flat = bare(wanted).length <= 1 || bare(sample).length <= 1;
    return elementCount(wanted) === count && (same || flat) ? { shape: wanted } : undefined;
  }
  if (wanted.length === 1) return { shape: [count] };
  // An image without a channel axis, for a model of symbolic sizes.
  if (wanted.length !== sample.length + 1) return undefined;
  const candidates = [
    [1, ...sample],
    [...sample, 1],
  ];
  if (layout === 'nhwc') candidates.reverse();
  const shape = candidates.find((candidate) => fits(candidate, wanted));
  return shape && { shape };
}
