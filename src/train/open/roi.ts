// Opening of RoiAlign (He et al. 2017) that averages: bilinear weights are products of one factor per axis,
// and so are means over a grid of samples, so that a region is A·X·Bᵀ with A [height, H] and B [width, W].

import type { Value } from '../../graph/index.ts';
import { floatTensor } from '../../tensor/scale.ts';
import type { Openable, Opening } from './openable.ts';

interface Axis {
  /** Columns of its two ends in the regions. */
  readonly ends: readonly [number, number];
  /** Bins of a region, samples of a bin, and size of the image along it. */
  readonly bins: number;
  readonly samples: number;
  readonly size: number;
}

/** Mean weights of the places of an image in the bins of each region, [R, bins, size]. */
function weightsOf(o: Openable, { ends, bins, samples, size }: Axis): Value {
  const { f, node } = o;
  const isHalfPixel = node.string('coordinate_transformation_mode', 'half_pixel') === 'half_pixel';
  const regions = o.x(1);
  const scaled = ends.map((column) => {
    const end = f.mul(f.slice(regions, 1, column, column + 1), node.float('spatial_scale', 1));
    return isHalfPixel ? f.sub(end, 0.5) : end;
  }) as [Value, Value];
  const length = f.sub(scaled[1], scaled[0]);
  const row = (shape: readonly number[], number: (i: number) => number) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float64Array.from({ length: count }, (_, i) => number(i));
    return f.g.constant('places', floatTensor(regions.dtype ?? 'float32', shape, values));
  };
  const shares = row([1, bins * samples], (i) => (i + 0.5) / (bins * samples));
  const places = f.add(f.mul(isHalfPixel ? length : f.max(length, 1), shares), scaled[0]);
  const inside = f.and(o.op('Not', [f.less(places, -1)]), o.op('Not', [f.greater(places, size)]));
  const held = f.min(f.max(places, 0), size - 1);
  const apart = o.op('Unsqueeze', [held, f.ints([2])]);
  const distance = o.op('Abs', [
    f.sub(
      apart,
      row([1, 1, size], (i) => i),
    ),
  ]);
  const near = o.op('Relu', [f.add(f.neg(distance), 1)]);
  const weights = f.where(o.op('Unsqueeze', [inside, f.ints([2])]), near, 0);
  const [count = 1] = o.sizes(regions);
  return f.mean(f.reshape(weights, [count, bins, samples, size]), [2]);
}

/** Image [N, C, H, W], regions [R, 4] as x y x y, their images [R] → [R, C, height, width]. */
function roiAlign(o: Openable): Value[] {
  const { node, f } = o;
  const mode = node.string('mode', 'avg');
  const samples = node.int('sampling_ratio', 0);
  if (mode !== 'avg') o.unknown(`RoiAlign of mode "${mode}"`);
  if (samples < 1) o.unknown('RoiAlign whose samples depend on the size of a region');
  const [, , height = 1, width = 1] = o.sizes(o.x(0));
  const axis = (ends: Axis['ends'], word: string, size: number) => {
    const weights = weightsOf(o, { ends, bins: node.int(`output_${word}`, 1), samples, size });
    return o.op('Unsqueeze', [weights, f.ints([1])]);
  };
  const [a, b] = [axis([1, 3], 'height', height), axis([0, 2], 'width', width)];
  const images = o.op('Gather', [o.x(0), o.x(2)], { axis: 0 });
  return [o.op('MatMul', [o.op('MatMul', [a, images]), o.transpose(b, [0, 1, 3, 2])])];
}

export const regions: Readonly<Record<string, Opening>> = { ':RoiAlign': roiAlign };
