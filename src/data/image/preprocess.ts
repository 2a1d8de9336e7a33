// Hugging Face's preprocessor_config.json, as data options: resize, crop, rescale, normalise.
// Fields: transformers, BaseImageProcessor and the processors of ViT, ConvNeXT, CLIP, DETR.

import { readFileSync } from 'node:fs';
import { brokenFile, dataProblem } from '../../errors/data.ts';
import type { DataOptions } from '../options.ts';
import type { Geometry, Resample, Size } from './geometry.ts';

interface Config {
  readonly do_resize?: boolean;
  readonly size?: number | Readonly<Record<string, number>>;
  readonly resample?: number;
  readonly crop_pct?: number;
  readonly do_center_crop?: boolean;
  readonly crop_size?: number | Readonly<Record<string, number>>;
  readonly do_rescale?: boolean;
  readonly rescale_factor?: number;
  readonly do_normalize?: boolean;
  readonly image_mean?: readonly number[];
  readonly image_std?: readonly number[];
  readonly do_pad?: boolean;
}

/** PIL's numbers of its filters. */
const RESAMPLE: Readonly<Record<number, Resample>> = {
  0: 'nearest',
  1: 'lanczos',
  2: 'bilinear',
  3: 'bicubic',
};

/** The options that the file stands for. What the file asks for and xform has not is an error. */
export function readPreprocessor(
  path: string,
): Pick<DataOptions, 'geometry' | 'scale' | 'normalize'> {
  const config = parseConfig(path);
  const geometry = geometryOf(config, path);
  const factor = config.do_rescale === false ? 1 : (config.rescale_factor ?? 1 / 255);
  const { image_mean: mean, image_std: std } = config;
  const normalize = config.do_normalize !== false && mean && std ? { mean, std } : undefined;
  return { geometry, scale: factor * 255, ...(normalize ? { normalize } : {}) };
}

function parseConfig(path: string): Config {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Config;
  } catch (error) {
    throw brokenFile(path, `the preprocessor cannot be read: ${(error as Error).message}`);
  }
}

function geometryOf(config: Config, path: string): Geometry {
  const resample = RESAMPLE[config.resample ?? 2];
  if (!resample) {
    throw dataProblem(`"resample": ${config.resample} is not a filter xform has`, path);
  }
  const base = { resample, pad: 0 };
  const crop =
    config.do_center_crop === true ? sizeIn(config.crop_size, path, 'crop_size') : undefined;
  const { size } = config;
  if (config.do_resize === false || size === undefined) return { ...base, fit: 'short', crop };
  const short = typeof size === 'number' ? undefined : size['shortest_edge'];
  if (short === undefined) {
    return { ...base, fit: 'stretch', resize: sizeIn(size, path, 'size'), crop };
  }
  if (typeof size !== 'number' && size['longest_edge'] !== undefined) {
    throw dataProblem(
      '"longest_edge" leaves images of different sizes',
      path,
      'Give --resize and --fit letterbox instead of --preprocess.',
    );
  }
  // ConvNeXT: below 384 pixels, scaled to size / crop_pct and cropped to size.
  const { crop_pct: share } = config;
  if (share !== undefined && short < 384) {
    const side = Math.floor(short / share);
    return { ...base, fit: 'short', resize: square(side), crop: square(short) };
  }
  if (share !== undefined) return { ...base, fit: 'stretch', resize: square(short) };
  return { ...base, fit: 'short', resize: square(short), crop };
}

function sizeIn(size: Config['size'], path: string, field: string): Size {
  if (typeof size === 'number') return square(size);
  const { width, height, shortest_edge: short } = size ?? {};
  if (width !== undefined && height !== undefined) return { width, height };
  if (short !== undefined) return square(short);
  throw brokenFile(path, `"${field}" has neither height and width nor shortest_edge`);
}

function square(side: number): Size {
  return { width: side, height: side };
}
