// How data is to be taken: which samples, in which batches, scaled and laid out how. Made from
// flags; the words are those of the command line.

import { badFlagValue } from '../errors/usage.ts';
import type { BadSamples } from './bad-samples.ts';
import type { BytePlan } from './file-bytes.ts';
import type { Augmentation } from './image/augment.ts';
import type { Geometry } from './image/geometry.ts';
import type { TokenizerFile } from './tokenizer-file.ts';

export type Layout = 'nchw' | 'nhwc';
export type Channels = 'rgb' | 'bgr';
export type Part = 'train' | 'rest';

/** (x - mean) / std; one number each, or one per channel. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface DataOptions {
  /** The first N samples (of the part taken). */
  readonly limit?: number | undefined;
  /** The first N samples of each class (of the part taken). */
  readonly limitPerClass?: number | undefined;
  /** Fraction of the samples, after shuffling by `seed`, that are the part `train`. */
  readonly split?: number | undefined;
  readonly part?: Part | undefined;
  readonly seed: number;
  /** Integer images become 0 … scale; 1 unless given. */
  readonly scale?: number | undefined;
  readonly normalize?: Normalization | undefined;
  /** Layout of the model's image inputs, where shapes alone do not tell. */
  readonly layout?: Layout | undefined;
  /** Columns of a table. */
  readonly label?: string | undefined;
  readonly features?: readonly string[] | undefined;
  /** How image files are scaled and cropped. */
  readonly geometry?: Geometry | undefined;
  /** Order of the colours that the model takes; files are RGB. */
  readonly channels?: Channels | undefined;
  /** What is done to images while training, at random. */
  readonly augment?: Augmentation | undefined;
  /** The folder with the images that a file of annotations names. */
  readonly images?: string | undefined;
  /** Names of classes in the order of the model's outputs: labels become positions in it. */
  readonly classes?: readonly string[] | undefined;
  /** `char`, `byte`, a path of a tokenizer.json, or the content of one. */
  readonly tokenizer?: string | TokenizerFile | undefined;
  /** Columns that hold texts: one, or two in one sample; or one and what is to be written for it. */
  readonly text?: string | undefined;
  readonly textPair?: string | undefined;
  readonly textTarget?: string | undefined;
  /** The text of `textTarget` is for the model to write: kept as it is, not fed. */
  readonly isWritten?: boolean | undefined;
  /**
   * Texts are questions (`text`) about a context (`textPair`) with answers (`label`): to be found in it,
   * or to be written.
   */
  readonly questions?: 'span' | 'written' | undefined;
  /**
   * Tokens of a sample where the model leaves them open, and from one window of a text to the next; of a
   * series, rows.
   */
  readonly seq?: number | undefined;
  readonly stride?: number | undefined;
  /** A table is a series: the target are the next so many rows of the label. */
  readonly horizon?: number | undefined;
  /** Numbers of a window, and its target, are differences to its last row. */
  readonly relative?: boolean | undefined;
  /** Length of sounds. */
  readonly seconds?: number | undefined;
  /** Finds the label of a file in its path, as the first group in parentheses. */
  readonly labelPattern?: string | undefined;
  /** What is read of files of any kind. */
  readonly bytes?: BytePlan | undefined;
  /** Samples that cannot be used are left out; else they are errors. */
  readonly skipBad?: boolean | undefined;
  /** Told where some were. */
  readonly onSkipped?: ((bad: BadSamples) => void) | undefined;
}

/** `train=0.8` → 0.8. */
export function parseSplit(text: string): number {
  const fraction = Number(/^train=(.+)$/.exec(text)?.[1]);
  if (fraction > 0 && fraction < 1) return fraction;
  throw badFlagValue('split', text, 'a fraction between 0 and 1, as in --split train=0.8');
}

/**
 * `mean=0.1307,std=0.3081`, or several numbers each: `mean=0.5,0.4,0.4,std=0.2,0.2,0.2`. Without one of
 * them, mean is 0 and std is 1.
 */
export function parseNormalize(text: string): Normalization {
  const lists = new Map<string, number[]>();
  let current: number[] | undefined;
  for (const word of text.split(',')) {
    const [key, value] = word.includes('=') ? word.split('=', 2) : [undefined, word];
    if (key !== undefined) {
      current = [];
      lists.set(key.trim(), current);
    }
    current?.push(value?.trim() ? Number(value) : Number.NaN);
  }
  const { length } = lists.get('mean') ?? lists.get('std') ?? [];
  const mean = lists.get('mean') ?? new Array<number>(length).fill(0);
  const std = lists.get('std') ?? new Array<number>(length).fill(1);
  const numbers = [...mean, ...std];
  const isKnown = [...lists.keys()].every((key) => key === 'mean' || key === 'std');
  const usable = isKnown && mean.length > 0 && mean.length === std.length;
  if (usable && numbers.every(Number.isFinite) && std.every((s) => s > 0)) return { mean, std };
  throw badFlagValue(
    'normalize',
    text,
    'as many means as deviations, as in --normalize mean=0.1307,std=0.3081',
  );
}
