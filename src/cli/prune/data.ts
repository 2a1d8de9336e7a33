// The data that scores, repairs and scans look at: a few samples, kept in memory as batches.

import type { Batch } from '../../data/dataset.ts';
import { inputSpecs } from '../../data/inputs.ts';
import { openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import type { Model } from '../../graph/index.ts';
import type { Reporter } from '../../report/reporter.ts';

export interface PruneData {
  /** What was read and what was applied to it. */
  readonly summary: string;
  batches(): AsyncIterable<Batch>;
}

interface PruneDataOptions extends DataOptions {
  readonly data?: string | undefined;
  readonly batch?: number | undefined;
  readonly samples: number;
}

const NOISE_SAMPLES = 16;

/** Undefined where no data was given. */
export async function openPruneData(
  model: Model,
  options: PruneDataOptions,
  reporter: Reporter,
): Promise<PruneData | undefined> {
  const { data, batch = 1 } = options;
  if (data === undefined) return undefined;
  const isNoise = data === 'random';
  if (isNoise) {
    const message =
      'scores and repair come from random numbers, which are not what the model will see';
    reporter.warn({ code: 'scored-on-noise', message });
  }
  const limit = options.limit ?? (isNoise ? NOISE_SAMPLES : options.samples);
  const dataset = await openDataset(data, inputSpecs(model), { ...options, limit });
  return { summary: dataset.summary, batches: () => dataset.batches(batch) };
}
