// Teachers asked about all training samples before the run, or their answers found where an earlier
// run has left them.

import { existsSync, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Batch, Dataset } from '../../data/dataset.ts';
import { cannotCache, notBySample, teacherCacheTooLarge } from '../../errors/distill.ts';
import { formatBytes } from '../../report/report.ts';
import { type LoadedModel, loadModel } from '../../runtime/runner.ts';
import { compareTensors } from '../../tensor/compare.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { augmentSeed } from '../../train/feeder.ts';
import type { TeacherCacheOptions, TrainRequest } from './request.ts';
import {
  CacheFolder,
  type CachePlan,
  cacheBytes,
  sampleBytes,
  type TeacherCache,
} from './teacher-cache.ts';
import type { Lesson } from './teachers.ts';

/** Undefined where there is nothing to cache, or where the user has asked for an end. */
export async function teacherAnswers(
  request: TrainRequest,
  lessons: readonly Lesson[],
  { steps, stepsPerEpoch }: { readonly steps: number; readonly stepsPerEpoch: number },
): Promise<TeacherCache | undefined> {
  const options = request.teaching?.cache;
  if (!options || lessons.length === 0) return undefined;
  if (request.masking) throw cannotCache('tokens are hidden anew in every step');
  if (request.isPaired) throw cannotCache('samples stand in two views');
  const { folder, data, isAugmented } = options;
  const plan: CachePlan = {
    folder,
    lessons,
    data,
    samples: request.data.length ?? 0,
    epochs: isAugmented ? Math.ceil(steps / stepsPerEpoch) : 1,
    seed: request.seed,
    isAugmented,
  };
  const place = await CacheFolder.of(plan);
  if (place.isComplete) options.say(`teachers were asked before: ${place.path}`);
  else if (!(await ask(request, plan, place, options))) return undefined;
  return place.open();
}

/** False where the user has asked for an end. */
async function ask(
  request: TrainRequest,
  plan: CachePlan,
  place: CacheFolder,
  options: TeacherCacheOptions,
): Promise<boolean> {
  const { lessons, samples, epochs } = plan;
  const times = epochs > 1 ? ` x ${epochs} epochs` : '';
  const size = `${formatBytes(cacheBytes(plan))}: ${samples} samples${times} x ${formatBytes(sampleBytes(lessons))}`;
  requireRoom(plan, size, options.limit);
  const difference = place.difference();
  if (difference) options.say(`${plan.folder} holds answers to other ${difference}: asking anew`);
  options.say(`asking ${lessons.map(({ path }) => path).join(', ')} (${size}) for ${place.path}`);
  const sessions: LoadedModel[] = [];
  try {
    for (const { model } of lessons) {
      sessions.push(await loadModel(model, { ...request.session, optimization: 'all' }));
    }
    const asking = new Asking(request, lessons, sessions);
    await asking.requireBySample();
    await place.write(async function* (epoch) {
      for (let from = 0; from < samples; from += request.batch) {
        if (request.isStopped?.()) throw new Stopped();
        yield await asking.batch(from, plan.isAugmented ? epoch : undefined);
      }
    });
    return true;
  } catch (error) {
    if (error instanceof Stopped) return false;
    throw error;
  } finally {
    for (const session of sessions) await session.dispose();
  }
}

/** The user has asked for an end. */
class Stopped extends Error {}

function requireRoom(plan: CachePlan, size: string, limit: number): void {
  const bytes = cacheBytes(plan);
  const why = plan.isAugmented ? ' (each epoch sees other samples)' : '';
  if (bytes > limit)
    throw teacherCacheTooLarge(`${size}${why}`, `--cache-limit allows ${formatBytes(limit)}`);
  let folder = resolve(plan.folder);
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  if (bytes > bavail * bsize) {
    throw teacherCacheTooLarge(`${size}${why}`, `${formatBytes(bavail * bsize)} are free`);
  }
}

class Asking {
  readonly #request: TrainRequest;
  readonly #lessons: readonly Lesson[];
  readonly #sessions: readonly LoadedModel[];

  constructor(request: TrainRequest, lessons: readonly Lesson[], sessions: readonly LoadedModel[]) {
    this.#request = request;
    this.#lessons = lessons;
    this.#sessions = sessions;
  }

  /** Bytes of the samples from `from` on, as many as a batch has, by input of the training graph. */
  async batch(from: number, epoch: number | undefined): Promise<Map<string, Uint8Array>> {
    const { data, batch, seed } = this.#request;
    const count = Math.min(batch, (data.length ?? 0) - from);
    const indices = Array.from({ length: batch }, (_, i) => from + Math.min(i, count - 1));
    const augment = epoch === undefined ? undefined : augmentSeed(seed, epoch);
    const { feeds } = await (data as Required<Dataset>).take(indices, { augment });
    const rows = new Map<string, Uint8Array>();
    for (const [name, tensor] of await this.#answers(feeds)) {
      const bytes = tensor.bytes();
      rows.set(name, bytes.subarray(0, (bytes.length / batch) * count));
    }
    return rows;
  }

  /** What is said of a sample must not depend on its place in the batch. */
  async requireBySample(): Promise<void> {
    const { data, batch } = this.#request;
    const order = Array.from({ length: batch }, (_, i) => i);
    const { take } = data as Required<Dataset>;
    const at = async (indices: readonly number[]) =>
      this.#answers(((await take.call(data, indices)) as Batch).feeds);
    const [forward, backward] = [await at(order), await at([...order].reverse())];
    for (const [name, tensor] of forward) {
      const turned = reversed(backward.get(name) as Tensor);
      const { relNorm } = compareTensors(tensor, turned, { rtol: 0, atol: 0 });
      if (relNorm > 1e-3) throw notBySample(name, `[${tensor.shape}]`);
    }
  }

  async #answers(feeds: Feeds): Promise<Map<string, Tensor>> {
    const answers = new Map<string, Tensor>();
    for (const [i, { inputs, model, fed }] of this.#lessons.entries()) {
      const own = new Map(
        [...inputs].map(([name, student]) => [name, feeds.get(student) as Tensor]),
      );
      const results = await (this.#sessions[i] as LoadedModel).run(own);
      model.graph.outputs.forEach(({ name }, k) => {
        answers.set(fed[k]?.name ?? '', results.get(name) as Tensor);
      });
    }
    return answers;
  }
}

/** The rows in the opposite order. */
function reversed(tensor: Tensor): Tensor {
  const [rows = 1] = tensor.shape;
  const bytes = tensor.bytes();
  const size = bytes.length / rows;
  const turned = new Uint8Array(bytes.length);
  for (let i = 0; i < rows; i++) {
    turned.set(bytes.subarray(i * size, (i + 1) * size), (rows - 1 - i) * size);
  }
  return Tensor.fromBytes(tensor.dtype, tensor.shape, turned);
}
