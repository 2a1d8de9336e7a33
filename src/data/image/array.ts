// Image files as one array of bytes, [N, height, width, channels], decoded when they are asked for.

import { dirname } from 'node:path';
import { dataProblem, emptyData } from '../../errors/data.ts';
import type { Dim } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { BadSamples } from '../bad-samples.ts';
import type { InputSpec } from '../dataset.ts';
import type { DataOptions } from '../options.ts';
import type { ArraySource } from '../source.ts';
import { decode, eachOf, sizeOf } from './decode.ts';
import { describeGeometry, type Geometry, outputSize, type Size } from './geometry.ts';

/** Decoded images that fit are kept: training sees them once an epoch. */
const KEPT_BYTES = 256e6;

export class ImageArray implements ArraySource {
  readonly name = 'images';
  readonly where: string;
  readonly dtype = 'uint8';
  readonly shape: readonly number[];
  /** What happens to each image, in words. */
  readonly text: string;
  readonly #files: readonly string[];
  readonly #geometry: Geometry;
  readonly #kept: (Uint8Array | undefined)[] | undefined;

  constructor(
    files: readonly string[],
    size: Size,
    channels: number,
    geometry: Geometry,
    about = '',
  ) {
    this.where = dirname(files[0] ?? '');
    this.shape = [files.length, size.height, size.width, channels];
    this.text = [about, describeGeometry(geometry)].filter(Boolean).join(', ');
    this.#files = files;
    this.#geometry = geometry;
    const total = files.length * size.height * size.width * channels;
    if (total <= KEPT_BYTES) this.#kept = [];
  }

  async rows(rows: readonly number[]): Promise<Tensor> {
    const [, height = 0, width = 0, channels = 0] = this.shape;
    const each = height * width * channels;
    const out = new Uint8Array(rows.length * each);
    const images = await eachOf(rows, (row) => this.#image(row));
    images.forEach((image, i) => {
      out.set(image, i * each);
    });
    return Tensor.fromBytes('uint8', [rows.length, height, width, channels], out);
  }

  async #image(row: number): Promise<Uint8Array> {
    const kept = this.#kept?.[row];
    if (kept) return kept;
    const [, height, width, channels = 3] = this.shape;
    const path = this.#files[row] as string;
    const found = await decode(path, this.#geometry, channels);
    if (found.width !== width || found.height !== height) {
      throw dataProblem(
        `the image is ${found.width}x${found.height}, others are ${width}x${height}`,
        path,
        'Make them of one size: --resize 256 --crop 224, or --resize 224x224, or --resize 416 --fit letterbox.',
      );
    }
    if (this.#kept) this.#kept[row] = found.data;
    return found.data;
  }
}

/** The input that takes images: the first of four axes. */
export function imageInput(inputs: readonly InputSpec[]): InputSpec | undefined {
  return inputs.find((input) => input.shape.length === 4);
}

interface Wanted {
  readonly channels: number;
  /** Undefined where the model leaves it open. */
  readonly size: Size | undefined;
}

const isChannels = (dim: Dim | undefined) => dim === 1 || dim === 3;

/** Channels and size of an image input, from its shape. */
function wantedImage(input: InputSpec | undefined, options: DataOptions): Wanted {
  const [, a, b, c] = input?.shape ?? [];
  const last = options.layout ? options.layout === 'nhwc' : !isChannels(a) && isChannels(c);
  const [channels, height, width] = last ? [c, a, b] : [a, b, c];
  const isSized = typeof height === 'number' && typeof width === 'number';
  return {
    channels: channels === 1 ? 1 : 3,
    size: isSized ? { width, height } : undefined,
  };
}

/**
 * Opens image files for a model. Without `--resize` and `--crop` they are taken as they are, or
 * stretched to the size that the model fixes where theirs is another; `text` says so.
 */
export async function openImages(
  files: readonly string[],
  inputs: readonly InputSpec[] | undefined,
  options: DataOptions,
): Promise<ImageArray> {
  const { geometry = AS_IT_IS } = options;
  const isFree = !geometry.resize && !geometry.crop;
  if (!inputs && isFree) return openUnsized(files, geometry);
  const { channels, size } = wantedImage(imageInput(inputs ?? []), options);
  const first = await sizeOf(files[0] as string);
  const isOther = size && (size.width !== first.width || size.height !== first.height);
  const taken: Geometry =
    isFree && isOther ? { ...geometry, resize: size, fit: 'stretch' } : geometry;
  const output = outputSize(taken) ?? (taken.resize ? undefined : first);
  if (!output) throw openSides();
  return new ImageArray(files, output, channels, taken);
}

/** Images that differ in size are stretched to this one, to be looked at without a model. */
const OWN_SIZE: Size = { width: 224, height: 224 };

/** Images as they are, for no model. */
async function openUnsized(files: readonly string[], geometry: Geometry): Promise<ImageArray> {
  const sizes = await eachOf(files, sizeOf);
  const words = [...new Set(sizes.map(({ width, height }) => `${width}x${height}`))];
  const [first = OWN_SIZE] = sizes;
  if (words.length === 1) return new ImageArray(files, first, 3, geometry);
  const area = ({ width, height }: Size) => width * height;
  const sorted = [...sizes].sort((a, b) => area(a) - area(b));
  const [least = OWN_SIZE, most = OWN_SIZE] = [sorted[0], sorted.at(-1)];
  const range = `${least.width}x${least.height} to ${most.width}x${most.height}`;
  const stretched = { ...geometry, resize: OWN_SIZE, fit: 'stretch' } as const;
  return new ImageArray(files, OWN_SIZE, 3, stretched, `of ${words.length} sizes, ${range}`);
}

export const AS_IT_IS: Geometry = { fit: 'short', resample: 'bilinear', pad: 0 };

function openSides() {
  return dataProblem(
    '--resize sets the shorter side, so that images stay of different sizes',
    undefined,
    'Add --crop, as in --resize 256 --crop 224, or give both sides, as in --resize 224x224.',
  );
}

const CHECKED_AT_ONCE = 64;

/** What is wrong with an image, if anything is. */
async function problemOf(path: string): Promise<unknown> {
  try {
    await decode(path, AS_IT_IS, 3);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Files that can be decoded, `enough` of them where that is said; the others are bad samples. */
export async function readableImages<T extends { readonly path: string }>(
  files: readonly T[],
  bad: BadSamples,
  enough = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const readable: T[] = [];
  for (let at = 0; at < files.length && readable.length < enough; at += CHECKED_AT_ONCE) {
    const some = files.slice(at, at + CHECKED_AT_ONCE);
    const problems = await eachOf(some, ({ path }) => problemOf(path));
    for (const problem of problems) if (problem !== undefined) bad.add(problem);
    readable.push(...some.filter((_, i) => problems[i] === undefined));
  }
  if (readable.length === 0) throw emptyData(dirname(files[0]?.path ?? ''), bad);
  return readable;
}
