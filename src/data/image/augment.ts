// Random changes of images while training. What happens to a sample is decided by seed and sample alone.
// Random resized crops and colours as SimCLR has them (Chen et al. 2020), cutout after DeVries and
// Taylor (2017).

import { badFlagValue } from '../../errors/usage.ts';
import { elementsOf } from '../../tensor/elements.ts';
import { Random } from '../../tensor/random.ts';
import { Tensor } from '../../tensor/tensor.ts';

export interface Augmentation {
  /** Mirrored left to right, half of the time. */
  readonly flip?: boolean;
  /** Shifted by up to so many pixels each way; what comes in is 0. */
  readonly shift?: number;
  /** A crop of at least this share of the area, scaled to the whole. */
  readonly zoom?: number;
  /** Turned by up to so many degrees each way. */
  readonly rotate?: number;
  /** A square with this side is set to 0. */
  readonly cutout?: number;
  /** Brightness and contrast change by up to this share. */
  readonly light?: number;
  /** Probability of losing its colours. */
  readonly grey?: number;
}

const WORDS = ['flip', 'shift', 'zoom', 'rotate', 'cutout', 'light', 'grey'] as const;

/** `flip,shift=4,cutout=8` */
export function parseAugment(text: string): Augmentation {
  const found: Record<string, number | boolean> = {};
  for (const part of text.split(',')) {
    const [word = '', value] = part.trim().split('=');
    const number = Number(value);
    const isFlag = word === 'flip' && value === undefined;
    const isNumber = word !== 'flip' && value !== undefined && number > 0;
    const isShare = !['zoom', 'light', 'grey'].includes(word) || number <= 1;
    if (!(WORDS as readonly string[]).includes(word) || !(isFlag || (isNumber && isShare))) {
      throw badFlagValue(
        'augment',
        part,
        'some of flip, shift=PIXELS, zoom=SHARE, rotate=DEGREES, cutout=PIXELS, light=SHARE, grey=SHARE, as in flip,shift=4',
      );
    }
    found[word] = isFlag ? true : number;
  }
  return found;
}

/** One image in a flat array. */
interface View {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Steps from one row, column, channel to the next. */
  readonly steps: readonly [y: number, x: number, c: number];
}

/** Images [N, H, W], [N, H, W, C] or [N, C, H, W], each changed by the dice of (seed, sample). */
export function augment(
  images: Tensor,
  samples: readonly number[],
  how: Augmentation,
  seed: number,
): Tensor {
  const view = viewOf(images.shape);
  const values = elementsOf(images) as Uint8Array;
  const out = values.slice();
  const size = values.length / Math.max(1, samples.length);
  samples.forEach((sample, i) => {
    const random = new Random(seed, `augment ${sample}`);
    const image = out.subarray(i * size, (i + 1) * size);
    move(values.subarray(i * size, (i + 1) * size), image, view, mapping(view, how, random));
    recolour(image, view, how, random);
    if (how.cutout) cutOut(image, view, how.cutout, random);
  });
  const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
  return Tensor.fromBytes(images.dtype, images.shape, bytes);
}

function viewOf(shape: readonly number[]): View {
  const [, a = 1, b = 1, c] = shape;
  if (c === undefined) return { height: a, width: b, channels: 1, steps: [b, 1, 0] };
  if (c <= 4 || a > 4) return { height: a, width: b, channels: c, steps: [b * c, c, 1] };
  return { height: b, width: c, channels: a, steps: [c, 1, b * c] };
}

/** From a pixel of the result to the place in the image that it shows: x' = ax + by + c. */
interface Mapping {
  readonly x: readonly [number, number, number];
  readonly y: readonly [number, number, number];
  /** Places are whole pixels. */
  readonly isWhole: boolean;
}

function mapping({ height, width }: View, how: Augmentation, random: Random): Mapping | undefined {
  const mirrored = how.flip === true && random.uniform() < 0.5;
  const shift = how.shift ?? 0;
  const dx = shift ? random.integer(2 * shift + 1) - shift : 0;
  const dy = shift ? random.integer(2 * shift + 1) - shift : 0;
  const area = how.zoom ? how.zoom + (1 - how.zoom) * random.uniform() : 1;
  // The aspect ratio of a crop lies between 3/4 and 4/3, evenly in its logarithm.
  const aspect = how.zoom ? Math.exp((random.uniform() * 2 - 1) * Math.log(4 / 3)) : 1;
  const sx = Math.min(1, Math.sqrt(area * aspect));
  const sy = Math.min(1, Math.sqrt(area / aspect));
  const left = how.zoom ? random.uniform() * (1 - sx) * width : 0;
  const top = how.zoom ? random.uniform() * (1 - sy) * height : 0;
  const angle = how.rotate ? ((random.uniform() * 2 - 1) * how.rotate * Math.PI) / 180 : 0;
  const isWhole = !how.zoom && !how.rotate;
  if (isWhole && !mirrored && dx === 0 && dy === 0) return undefined;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [cx, cy] = [(width - 1) / 2, (height - 1) / 2];
  const flip = mirrored ? -1 : 1;
  // Mirrored and turned around the centre, then scaled into the crop, then shifted.
  const ax = sx * flip * cos;
  const bx = -sx * sin;
  const ay = sy * flip * sin;
  const by = sy * cos;
  const middleX = left + sx * (cx + 0.5) - 0.5 + dx;
  const middleY = top + sy * (cy + 0.5) - 0.5 + dy;
  return {
    x: [ax, bx, middleX - ax * cx - bx * cy],
    y: [ay, by, middleY - ay * cx - by * cy],
    isWhole,
  };
}

function move(from: Uint8Array, to: Uint8Array, view: View, map: Mapping | undefined): void {
  if (!map) return;
  const { height, width, channels, steps } = view;
  const [stepY, stepX, stepC] = steps;
  const valueAt = map.isWhole ? nearest(from, view) : bilinear(from, view);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const px = map.x[0] * x + map.x[1] * y + map.x[2];
      const py = map.y[0] * x + map.y[1] * y + map.y[2];
      for (let c = 0; c < channels; c++) {
        to[y * stepY + x * stepX + c * stepC] = rounded(valueAt(py, px, c), to);
      }
    }
  }
}

type ValueAt = (y: number, x: number, c: number) => number;

/** 0 beyond the border. */
function nearest(from: Uint8Array, { height, width, steps }: View): ValueAt {
  const [stepY, stepX, stepC] = steps;
  return (py, px, c) => {
    const y = Math.round(py);
    const x = Math.round(px);
    const isInside = y >= 0 && x >= 0 && y < height && x < width;
    return isInside ? (from[y * stepY + x * stepX + c * stepC] as number) : 0;
  };
}

function bilinear(from: Uint8Array, view: View): ValueAt {
  const at = nearest(from, view);
  return (py, px, c) => {
    const y = Math.floor(py);
    const x = Math.floor(px);
    const [fy, fx] = [py - y, px - x];
    const upper = at(y, x, c) * (1 - fx) + at(y, x + 1, c) * fx;
    const lower = at(y + 1, x, c) * (1 - fx) + at(y + 1, x + 1, c) * fx;
    return upper * (1 - fy) + lower * fy;
  };
}

function recolour(image: Uint8Array, view: View, how: Augmentation, random: Random): void {
  if (how.light) {
    const gain = 1 + (random.uniform() * 2 - 1) * how.light;
    const contrast = 1 + (random.uniform() * 2 - 1) * how.light;
    let sum = 0;
    for (const value of image) sum += value;
    const mean = (sum / image.length) * gain;
    for (let i = 0; i < image.length; i++) {
      image[i] = rounded(((image[i] as number) * gain - mean) * contrast + mean, image);
    }
  }
  if (!how.grey || view.channels !== 3 || random.uniform() >= how.grey) return;
  const { height, width, steps } = view;
  const [stepY, stepX, stepC] = steps;
  for (let pixel = 0; pixel < height * width; pixel++) {
    const at = Math.floor(pixel / width) * stepY + (pixel % width) * stepX;
    const channel = (c: number) => image[at + c * stepC] as number;
    // Luma of ITU-R BT.601.
    const luma = 0.299 * channel(0) + 0.587 * channel(1) + 0.114 * channel(2);
    for (let c = 0; c < 3; c++) image[at + c * stepC] = rounded(luma, image);
  }
}

function cutOut(image: Uint8Array, view: View, side: number, random: Random): void {
  const { height, width, channels, steps } = view;
  const [stepY, stepX, stepC] = steps;
  const top = random.integer(height) - Math.floor(side / 2);
  const left = random.integer(width) - Math.floor(side / 2);
  for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
    for (let x = Math.max(0, left); x < Math.min(width, left + side); x++) {
      for (let c = 0; c < channels; c++) image[y * stepY + x * stepX + c * stepC] = 0;
    }
  }
}

/** Bytes are rounded and kept in range; floats stay. */
function rounded(value: number, of: ArrayLike<number>): number {
  return of instanceof Uint8Array ? Math.max(0, Math.min(255, Math.round(value))) : value;
}
