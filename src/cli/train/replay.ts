// Where the samples of a run come from: its data, and a share of each batch from older data.

import type { Dataset } from '../../data/dataset.ts';
import { joined } from '../../data/join.ts';
import { batchTooLarge, dataHasNoOrder, replayTooSmall } from '../../errors/train.ts';
import { balanced, ReplaySampler } from '../../train/replay.ts';
import { Sampler, type StepSamples } from '../../train/sampler.ts';
import { classLabels } from '../../train/targets.ts';
import type { ReplayRequest, TrainRequest } from './request.ts';

export type Ordered = Dataset & Required<Pick<Dataset, 'take'>> & { readonly length: number };

export function ordered(data: Dataset): Ordered {
  if (!data.take || data.length === undefined) throw dataHasNoOrder(data.summary);
  return data as Ordered;
}

export interface Source {
  readonly dataset: Required<Pick<Dataset, 'take'>>;
  readonly sampler: StepSamples;
}

/** `samples` of a step, those of older data among them. */
export async function sourceOf(request: TrainRequest, samples: number): Promise<Source> {
  const { replay, seed } = request;
  const data = ordered(request.data);
  const count = replay ? replayed(replay, samples) : 0;
  const own = samples - count;
  if (data.length < own) throw batchTooLarge(own, data.length);
  const sampler = new Sampler(data.length, own, seed);
  if (!replay) return { dataset: data, sampler };
  const old = ordered(replay.data);
  const chosen = await bufferOf(old, replay.limit, seed);
  return {
    dataset: joined(data, old, chosen),
    sampler: new ReplaySampler(sampler, data.length, chosen.length, count, seed),
  };
}

function replayed({ share }: ReplayRequest, samples: number): number {
  const count = Math.round(share * samples);
  if (count < 1 || count >= samples) throw replayTooSmall(share, samples);
  return count;
}

const CHUNK = 256;

/** All samples, or `limit` of them, as many of each class; without classes by chance. */
async function bufferOf(old: Ordered, limit: number | undefined, seed: number): Promise<number[]> {
  const all = Array.from({ length: old.length }, (_, i) => i);
  if (limit === undefined || limit >= old.length) return all;
  const labels: number[] = [];
  for (let at = 0; at < old.length; at += CHUNK) {
    const chunk = all.slice(at, at + CHUNK);
    const targets = (await old.targets?.(chunk)) ?? (await old.take(chunk)).targets;
    const count = chunk.length;
    labels.push(...(classLabels(targets, count) ?? new Array<number>(count).fill(0)));
  }
  return balanced(labels, limit, seed);
}
