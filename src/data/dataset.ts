// What every kind of data looks like to commands: samples in batches, fed by model input name.

import type { Dim } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { BadSamples } from './bad-samples.ts';
import type { SpecialTokens, TokenizerFile } from './tokenizer-file.ts';

/** One input of a model, as data has to fill it. */
export interface InputSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

export interface Batch {
  /** One tensor per model input. */
  readonly feeds: Feeds;
  /** Expected outputs, labels: whatever the data has beside inputs, by name; `count` rows each. */
  readonly targets: Feeds;
  /** Samples in it. A model of fixed batch size gets the last batch filled up with its last one. */
  readonly count: number;
}

export interface TakeOptions {
  /** A seed for augmentation, which is a function of it and the sample; absent: no augmentation. */
  readonly augment?: number | undefined;
}

export interface Dataset {
  /** What was read and what was applied to it, in one line, for the report. */
  readonly summary: string;
  /** Tokens that texts do not spell, where the data was made by a tokenizer. */
  readonly specialTokens?: SpecialTokens | undefined;
  /** The text of token ids, where the data was made by a tokenizer. */
  readonly decode?: ((ids: readonly number[]) => string) | undefined;
  /** A tokenizer that was made from this data: what other data has to be read with. */
  readonly vocabulary?: TokenizerFile | undefined;
  /** Number of samples; undefined when there is no end (random data). */
  readonly length: number | undefined;
  /** Names of the classes, where the data has them; labels are positions in this list. */
  readonly classes?: readonly string[] | undefined;
  /** Samples that were left out. */
  readonly bad?: BadSamples | undefined;
  /** Batches of `size` samples, or of the size the model fixes. */
  batches(size: number): AsyncIterable<Batch>;
  /**
   * The samples at these positions, in this order; the same again whenever it is asked. The tensors are
   * the caller's own: a training run hands their memory over to onnxruntime.
   */
  take?(indices: readonly number[], options?: TakeOptions): Promise<Batch>;
  /** What stands for a sample where it is shown: its file, its text. */
  nameOf?(index: number): string | undefined;
  /** Only the targets of these samples: their inputs are not read. */
  targets?(indices: readonly number[]): Promise<Feeds>;
}
