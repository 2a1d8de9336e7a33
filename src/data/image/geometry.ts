// Where the pixels of an image go: scaled, letterboxed, cropped. All sizes in pixels.

import { badFlagValue } from '../../errors/usage.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const FITS = ['short', 'stretch', 'letterbox', 'letterbox-centre'] as const;
export type Fit = (typeof FITS)[number];

/** As PIL has them; `nearest-floor` takes the pixel at the corner and not in the middle, as OpenCV does. */
export const RESAMPLES = ['nearest', 'nearest-floor', 'bilinear', 'bicubic', 'lanczos'] as const;
export type Resample = (typeof RESAMPLES)[number];

export interface Geometry {
  readonly resize?: Size | undefined;
  /** short: the shorter side becomes the size; letterbox: the image fits in, the rest is padding. */
  readonly fit: Fit;
  /** From the centre. */
  readonly crop?: Size | undefined;
  readonly resample: Resample;
  /** Value of the pixels that a letterbox or a crop beyond the image adds. */
  readonly pad: number;
}

/** How one image is placed: scaled to `scaled`, whose corner stands at (left, top) of `output`. */
export interface Placement {
  readonly scaled: Size;
  readonly left: number;
  readonly top: number;
  readonly output: Size;
}

/** `256` → 256×256, `320x240` → width 320, height 240. */
export function parseSize(flag: string, text: string): Size {
  const [, width, height = width] = /^(\d+)(?:x(\d+))?$/.exec(text.trim()) ?? [];
  if (Number(width) > 0 && Number(height) > 0) {
    return { width: Number(width), height: Number(height) };
  }
  throw badFlagValue(flag, text, 'a size in pixels, as in 224 or 320x240 (width x height)');
}

/** The size of every output; undefined: that of the image, or of its longer side, decides. */
export function outputSize({ resize, fit, crop }: Geometry): Size | undefined {
  return crop ?? (fit === 'short' ? undefined : resize);
}

/** Rounds as torchvision does: longer sides down, crop corners to the nearest even number. */
export function place(image: Size, geometry: Geometry): Placement {
  const scaled = scaledSize(image, geometry);
  const { fit, resize, crop } = geometry;
  const boxed = fit.startsWith('letterbox') ? resize : undefined;
  const output = crop ?? boxed ?? scaled;
  const centred = crop !== undefined || fit === 'letterbox-centre';
  const corner = (outer: number, inner: number) =>
    centred ? roundHalfEven((outer - inner) / 2) : 0;
  return {
    scaled,
    left: corner(output.width, scaled.width),
    top: corner(output.height, scaled.height),
    output,
  };
}

function scaledSize(image: Size, { resize, fit }: Geometry): Size {
  if (!resize) return image;
  if (fit === 'stretch') return resize;
  const { width, height } = image;
  if (fit === 'short') {
    const side = Math.min(resize.width, resize.height);
    return width <= height
      ? { width: side, height: Math.max(1, Math.floor((side * height) / width)) }
      : { width: Math.max(1, Math.floor((side * width) / height)), height: side };
  }
  const ratio = Math.min(resize.width / width, resize.height / height);
  const within = (side: number, most: number) =>
    Math.min(most, Math.max(1, Math.floor(side * ratio + 1e-6)));
  return { width: within(width, resize.width), height: within(height, resize.height) };
}

/** As Python's `round`. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** In words, for the report. */
export function describeGeometry({ resize, fit, crop, resample, pad }: Geometry): string {
  const words: string[] = [];
  if (resize && fit === 'short')
    words.push(`shorter side ${Math.min(resize.width, resize.height)}`);
  else if (resize) {
    const into = `${resize.width}x${resize.height}`;
    words.push(fit === 'stretch' ? `stretched to ${into}` : `${fit} ${into} (pad ${pad})`);
  }
  if (resize) words.push(resample);
  if (crop) words.push(`centre crop ${crop.width}x${crop.height}`);
  return words.join(', ');
}
