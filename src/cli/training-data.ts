// The data of a training run: what is trained on, what is validated on, and other data in the same form.

import { writeFileSync } from 'node:fs';
import type { Dataset } from '../data/dataset.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import { type Model, symbol } from '../graph/index.ts';
import { dataOptionsFrom } from './data-flags.ts';
import type { TrainingFlagValues } from './training-command.ts';

export interface TrainingData {
  readonly data: Dataset;
  /** Of --val, else the rest of --split. */
  readonly validation: Dataset | undefined;
  /** Other data, whole, without --split and --limit. */
  open(path: string): Promise<Dataset>;
}

export async function openTrainingData(
  model: Model,
  flags: TrainingFlagValues,
): Promise<TrainingData> {
  const options = dataOptionsFrom(flags);
  const specs = inputSpecs(model).map((input) => ({
    ...input,
    shape: [symbol('batch'), ...input.shape.slice(1)],
  }));
  const data = await openDataset(flags.data ?? '', specs, options);
  const { split: _, part: __, ...whole } = options;
  const tokenizer = data.vocabulary ?? options.tokenizer;
  const open = (path: string) =>
    openDataset(path, specs, { ...whole, tokenizer, limit: undefined });
  if (flags.val) {
    const validation = await openDataset(flags.val, specs, { ...whole, tokenizer });
    return { data, validation, open };
  }
  if (options.split === undefined) return { data, validation: undefined, open };
  const rest = { ...options, part: 'rest', limit: undefined } as const;
  return { data, validation: await openDataset(flags.data ?? '', specs, rest), open };
}

/** The tokens that the model has learnt, beside it: other data has to be read with `--tokenizer` of it. */
export function writeVocabulary(vocabulary: object, output: string): void {
  writeFileSync(`${output.replace(/\.onnx$/, '')}.tokenizer.json`, JSON.stringify(vocabulary));
}
