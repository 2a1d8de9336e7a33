// The data of a training run: what is trained on, what is validated on, and other data in the same form.

import { writeFileSync } from 'node:fs';
import type { Dataset } from '../../data/dataset.ts';
import { inputSpecs } from '../../data/inputs.ts';
import { openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import { type Model, symbol } from '../../graph/index.ts';
import { dataOptionsFrom } from '../data/flags.ts';
import type { TrainingFlagValues } from './command.ts';

export interface TrainingData {
  readonly data: Dataset;
  /** Of --val, else the rest of --split. */
  readonly validation: Dataset | undefined;
  /** Other data, whole, without --split and --limit. */
  open(path: string): Promise<Dataset>;
}

/** Limits are of the data that is trained on. */
const ALL = { limit: undefined, limitPerClass: undefined };

export async function openTrainingData(
  model: Model,
  flags: TrainingFlagValues,
): Promise<TrainingData> {
  const options = dataOptionsFrom(flags);
  const data = await openSamples(flags.data ?? '', model, options);
  const { split: _, part: __, ...whole } = options;
  const tokenizer = data.vocabulary ?? options.tokenizer;
  const alike = { ...whole, tokenizer, classes: data.classes ?? options.classes };
  const open = (path: string) => openSamples(path, model, { ...alike, ...ALL });
  if (flags.val) {
    return { data, validation: await openSamples(flags.val, model, alike), open };
  }
  if (options.split === undefined) return { data, validation: undefined, open };
  const rest = { ...options, ...ALL, part: 'rest' } as const;
  return { data, validation: await openSamples(flags.data ?? '', model, rest), open };
}

/** Samples of the model's inputs, in batches of any size. */
export function openSamples(path: string, model: Model, options: DataOptions): Promise<Dataset> {
  const specs = inputSpecs(model).map((input) => ({
    ...input,
    shape: [symbol('batch'), ...input.shape.slice(1)],
  }));
  return openDataset(path, specs, options);
}

/** The tokens that the model has learnt, beside it: other data has to be read with `--tokenizer` of it. */
export function writeVocabulary(vocabulary: object, output: string): void {
  writeFileSync(`${output.replace(/\.onnx$/, '')}.tokenizer.json`, JSON.stringify(vocabulary));
}
