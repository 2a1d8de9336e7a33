// JPEG, PNG, WebP and their kin to bytes, through sharp (libvips).

import { availableParallelism } from 'node:os';
import { brokenSample, dataProblem } from '../../errors/data.ts';
import { type Geometry, type Placement, place, type Resample, type Size } from './geometry.ts';

export const IMAGE_NAME = /\.(jpe?g|png|webp|gif|tiff?|avif|bmp)$/i;

export interface Pixels extends Size {
  /** [height, width, channels] */
  readonly data: Uint8Array;
  readonly placement: Placement;
  /** Of the file. */
  readonly original: Size;
}

const KERNELS = {
  nearest: 'nearest',
  bilinear: 'linear',
  bicubic: 'cubic',
  lanczos: 'lanczos3',
} as const satisfies Record<Exclude<Resample, 'nearest-floor'>, string>;

/** Loaded when the first image is: most commands never see one. */
async function loadSharp(): Promise<typeof import('sharp').default> {
  try {
    const { default: sharp } = await import('sharp');
    // Images are decoded side by side; each of them on one thread.
    sharp.concurrency(1);
    sharp.cache(false);
    return sharp;
  } catch (error) {
    throw dataProblem(
      `images cannot be read: ${(error as Error).message.split('\n', 1)[0]}`,
      'the package "sharp"',
      'Install xform anew on this machine: npm fetches the build of sharp for its platform.',
    );
  }
}

let loaded: ReturnType<typeof loadSharp> | undefined;

/** Width and height as stored, without decoding the pixels. */
export async function sizeOf(path: string): Promise<Size> {
  loaded ??= loadSharp();
  const sharp = await loaded;
  try {
    const { width, height } = await sharp(path).metadata();
    return { width, height };
  } catch (error) {
    throw brokenSample(path, `this is not an image that can be read: ${(error as Error).message}`);
  }
}

/** Pixels as the geometry has them, in grey (1 channel) or RGB (3). */
export async function decode(path: string, geometry: Geometry, channels: number): Promise<Pixels> {
  loaded ??= loadSharp();
  const sharp = await loaded;
  try {
    const original = await sizeOf(path);
    const placement = place(original, geometry);
    const { scaled } = placement;
    let image = sharp(path, { failOn: 'error' }).toColourspace(channels === 1 ? 'b-w' : 'srgb');
    image = image.removeAlpha();
    const { resample } = geometry;
    const isOther = scaled.width !== original.width || scaled.height !== original.height;
    if (isOther && resample !== 'nearest-floor') {
      const kernel = KERNELS[resample];
      image = image.resize({ ...scaled, fit: 'fill', kernel, fastShrinkOnLoad: false });
    }
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    const whole = info.channels === channels ? data : pickChannels(data, info.channels, channels);
    const isPicked = isOther && resample === 'nearest-floor';
    const sized = isPicked ? pickPixels(whole, original, scaled, channels) : whole;
    return {
      data: put(sized, placement, channels, geometry.pad),
      ...placement.output,
      placement,
      original,
    };
  } catch (error) {
    if ((error as { kind?: string }).kind) throw error;
    throw brokenSample(path, `the image cannot be decoded: ${(error as Error).message}`);
  }
}

/** The first channels; a single one is repeated. */
function pickChannels(data: Uint8Array, found: number, wanted: number): Uint8Array {
  const pixels = data.length / found;
  const out = new Uint8Array(pixels * wanted);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < wanted; c++) {
      out[i * wanted + c] = data[i * found + Math.min(c, found - 1)] as number;
    }
  }
  return out;
}

/** Pixel (x, y) is that at (⌊x · width / new width⌋, ⌊y · height / new height⌋). */
function pickPixels(data: Uint8Array, from: Size, to: Size, channels: number): Uint8Array {
  const out = new Uint8Array(to.width * to.height * channels);
  for (let y = 0; y < to.height; y++) {
    const row = Math.floor((y * from.height) / to.height) * from.width;
    for (let x = 0; x < to.width; x++) {
      const at = (row + Math.floor((x * from.width) / to.width)) * channels;
      const target = (y * to.width + x) * channels;
      for (let c = 0; c < channels; c++) out[target + c] = data[at + c] as number;
    }
  }
  return out;
}

/** The scaled image at its place in the output, the rest filled with `pad`. */
function put(data: Uint8Array, to: Placement, channels: number, pad: number): Uint8Array {
  const { scaled, output, left, top } = to;
  if (scaled.width === output.width && scaled.height === output.height) return data;
  const out = new Uint8Array(output.width * output.height * channels).fill(pad);
  const from = Math.max(0, -left);
  const count = Math.min(scaled.width - from, output.width - Math.max(0, left));
  for (let y = Math.max(0, top); y < Math.min(output.height, top + scaled.height); y++) {
    const start = ((y - top) * scaled.width + from) * channels;
    const row = data.subarray(start, start + count * channels);
    out.set(row, (y * output.width + Math.max(0, left)) * channels);
  }
  return out;
}

/** Runs at most as many at once as there are cores, in order. */
export async function eachOf<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i] as T);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return results;
}
