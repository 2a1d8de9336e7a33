// The flags of every command that takes data, and the options they stand for.

import { Flags } from '@oclif/core';
import { readClasses } from '../../data/classes.ts';
import { parseBytes } from '../../data/file-bytes.ts';
import { parseAugment } from '../../data/image/augment.ts';
import {
  FITS,
  type Fit,
  type Geometry,
  parseSize,
  RESAMPLES,
  type Resample,
} from '../../data/image/geometry.ts';
import { readPreprocessor } from '../../data/image/preprocess.ts';
import { type DataOptions, parseNormalize, parseSplit } from '../../data/options.ts';
import { badFlagValue } from '../../errors/usage.ts';
import { noteSkipped } from '../skipped.ts';

const group = { helpGroup: 'DATA' } as const;

export const dataFlags = {
  data: Flags.string({
    summary: 'data to run on: arrays, a table, text, a folder of labelled files, …, or random',
    helpValue: 'PATH',
    ...group,
  }),
  limit: Flags.integer({ summary: 'take the first N samples', min: 1, helpValue: 'N', ...group }),
  'limit-per-class': Flags.integer({
    summary: 'take the first N samples of each class',
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  split: Flags.string({
    summary: 'shuffle by --seed and cut, as in train=0.8',
    helpValue: 'train=F',
    ...group,
  }),
  part: Flags.option({ options: ['train', 'rest'] as const })({
    summary: 'which side of --split to take (default: train)',
    dependsOn: ['split'],
    ...group,
  }),
  batch: Flags.integer({ summary: 'samples in a batch', min: 1, helpValue: 'N', ...group }),
  scale: Flags.string({
    summary: 'integer images become 0 … N (default 1; 255 leaves them)',
    helpValue: 'N',
    ...group,
  }),
  normalize: Flags.string({
    summary: 'subtract mean, divide by std, after --scale: one number each, or one per channel',
    helpValue: 'mean=M,std=S',
    ...group,
  }),
  layout: Flags.option({ options: ['nchw', 'nhwc'] as const })({
    summary: "layout of the model's images, where shapes do not tell",
    ...group,
  }),
  resize: Flags.string({
    summary: 'scale images: the shorter side (--fit short), or WIDTHxHEIGHT',
    helpValue: 'SIZE',
    ...group,
  }),
  fit: Flags.option({ options: FITS })({
    summary: 'how --resize scales: by the shorter side, to both, or inside with padding',
    ...group,
  }),
  crop: Flags.string({ summary: 'cut the centre out of images', helpValue: 'SIZE', ...group }),
  resample: Flags.option({ options: RESAMPLES })({
    summary: 'filter of --resize (default: bilinear)',
    ...group,
  }),
  pad: Flags.integer({
    summary: 'value of the pixels that --fit letterbox adds (default: 114)',
    min: 0,
    max: 255,
    ...group,
  }),
  channels: Flags.option({ options: ['rgb', 'bgr'] as const })({
    summary: 'order of the colours that the model takes',
    ...group,
  }),
  preprocess: Flags.string({
    summary: "a Hugging Face preprocessor_config.json: the model's resize, crop and normalisation",
    helpValue: 'FILE',
    ...group,
  }),
  augment: Flags.string({
    summary: 'change images at random while training, as in flip,shift=4,cutout=8',
    helpValue: 'LIST',
    ...group,
  }),
  images: Flags.string({ summary: 'the images of COCO annotations', helpValue: 'DIR', ...group }),
  label: Flags.string({ summary: 'the column with the target', helpValue: 'COLUMN', ...group }),
  features: Flags.string({
    summary: 'the columns that feed the model, in order; of sounds: mel:80,fft=512,hop=160',
    helpValue: 'A,B,C',
    ...group,
  }),
  'label-pattern': Flags.string({
    summary:
      'files: finds the label in the path within the folder, in parentheses, as in "^([0-9])_"',
    helpValue: 'REGEX',
    ...group,
  }),
  classes: Flags.string({
    summary:
      "names of the classes in the order of the model's outputs: lines, a config.json with id2label, or imagenet",
    helpValue: 'FILE',
    ...group,
  }),
  tokenizer: Flags.string({
    summary: 'how text becomes tokens: a tokenizer.json, char, or byte',
    helpValue: 'FILE|char|byte',
    ...group,
  }),
  text: Flags.string({ summary: 'the column with the text', helpValue: 'COLUMN', ...group }),
  'text-pair': Flags.string({
    summary: 'the column with a second text of the sample',
    dependsOn: ['text'],
    helpValue: 'COLUMN',
    ...group,
  }),
  'text-target': Flags.string({
    summary: 'the column with the text that an encoder-decoder model shall write',
    dependsOn: ['text'],
    exclusive: ['text-pair'],
    helpValue: 'COLUMN',
    ...group,
  }),
  seq: Flags.integer({
    summary: 'tokens, or rows of a series, in a sample, where the model leaves it open',
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  stride: Flags.integer({
    summary:
      'tokens from one window of a text to the next (default: as long as a window); of a series, rows (default: 1)',
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  horizon: Flags.integer({
    summary: 'forecast: a table is a series, and the target the --label of the next N rows',
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  relative: Flags.boolean({
    summary: 'forecast differences to the last row of a window, from such differences',
    dependsOn: ['horizon'],
    ...group,
  }),
  seconds: Flags.string({
    summary: 'length of sounds, where the model leaves it open',
    helpValue: 'S',
    ...group,
  }),
  bytes: Flags.string({
    summary: 'read files as bytes: so many of the start and the end, as in head=1024,tail=1024',
    helpValue: 'LIST',
    ...group,
  }),
  'skip-bad': Flags.boolean({
    summary: 'leave out samples that cannot be used, and say which',
    ...group,
  }),
};

export interface DataFlagValues {
  readonly limit?: number | undefined;
  readonly 'limit-per-class'?: number | undefined;
  readonly split?: string | undefined;
  readonly part?: 'train' | 'rest' | undefined;
  readonly scale?: string | undefined;
  readonly normalize?: string | undefined;
  readonly layout?: 'nchw' | 'nhwc' | undefined;
  readonly label?: string | undefined;
  readonly features?: string | undefined;
  readonly resize?: string | undefined;
  readonly fit?: Fit | undefined;
  readonly crop?: string | undefined;
  readonly resample?: Resample | undefined;
  readonly pad?: number | undefined;
  readonly channels?: 'rgb' | 'bgr' | undefined;
  readonly preprocess?: string | undefined;
  readonly augment?: string | undefined;
  readonly images?: string | undefined;
  readonly 'label-pattern'?: string | undefined;
  readonly classes?: string | undefined;
  readonly tokenizer?: string | undefined;
  readonly text?: string | undefined;
  readonly 'text-pair'?: string | undefined;
  readonly 'text-target'?: string | undefined;
  readonly seq?: number | undefined;
  readonly stride?: number | undefined;
  readonly horizon?: number | undefined;
  readonly relative?: boolean | undefined;
  readonly seconds?: string | undefined;
  readonly bytes?: string | undefined;
  readonly 'skip-bad'?: boolean | undefined;
  readonly seed: number;
}

export function dataOptionsFrom(flags: DataFlagValues): DataOptions {
  const { limit, part, layout, label, seed, channels, images } = flags;
  const preprocessed = flags.preprocess === undefined ? {} : readPreprocessor(flags.preprocess);
  return {
    channels,
    images,
    augment: flags.augment === undefined ? undefined : parseAugment(flags.augment),
    geometry: geometryFrom(flags) ?? preprocessed.geometry,
    limit,
    limitPerClass: flags['limit-per-class'],
    part,
    layout,
    label,
    seed,
    split: flags.split === undefined ? undefined : parseSplit(flags.split),
    scale: flags.scale === undefined ? preprocessed.scale : parseAmount('scale', flags.scale),
    normalize:
      flags.normalize === undefined ? preprocessed.normalize : parseNormalize(flags.normalize),
    features: flags.features?.split(',').map((column) => column.trim()),
    labelPattern: checkPattern(flags['label-pattern']),
    classes: flags.classes === undefined ? undefined : readClasses(flags.classes),
    tokenizer: flags.tokenizer,
    text: flags.text,
    textPair: flags['text-pair'],
    textTarget: flags['text-target'],
    seq: flags.seq,
    stride: flags.stride,
    horizon: flags.horizon,
    relative: flags.relative,
    seconds: flags.seconds === undefined ? undefined : parseAmount('seconds', flags.seconds),
    bytes: flags.bytes === undefined ? undefined : parseBytes(flags.bytes),
    skipBad: flags['skip-bad'],
    onSkipped: noteSkipped,
  };
}

/** Undefined where no flag says anything about it. */
function geometryFrom(flags: DataFlagValues): Geometry | undefined {
  const { fit, resample, pad } = flags;
  const words = [flags.resize, flags.crop, fit, resample, pad];
  if (words.every((word) => word === undefined)) return undefined;
  const resize = flags.resize === undefined ? undefined : parseSize('resize', flags.resize);
  const crop = flags.crop === undefined ? undefined : parseSize('crop', flags.crop);
  const isOneSide = flags.resize === undefined || !flags.resize.includes('x');
  return {
    resize,
    crop,
    fit: fit ?? (isOneSide ? 'short' : 'stretch'),
    resample: resample ?? 'bilinear',
    pad: pad ?? (fit?.startsWith('letterbox') ? 114 : 0),
  };
}

/** A regular expression with a group. */
function checkPattern(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    const groups = new RegExp(`${text}|`).exec('')?.length ?? 0;
    if (groups > 1) return text;
  } catch {
    // Said below, with what is expected.
  }
  throw badFlagValue(
    'label-pattern',
    text,
    'a regular expression with the label in parentheses, as in "^([0-9])_"',
  );
}

/** A number that is not negative. */
export function parseAmount(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw badFlagValue(flag, text, 'a number from 0 on, as in 1e-3');
}
