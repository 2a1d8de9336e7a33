// Runs models over data, one after the other, and judges what they did.

import type { Dataset, InputSpec } from '../../data/dataset.ts';
import { inputSpecs, unfeedableInputs } from '../../data/inputs.ts';
import { openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import { noTarget, taskUnknown } from '../../errors/eval.ts';
import { cannotFeed } from '../../errors/verify.ts';
import { type Model, splitModel } from '../../graph/index.ts';
import type { Evaluation } from '../../metrics/evaluation.ts';
import { inferTypes } from '../../ops/index.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { loadModel } from '../../runtime/runner.ts';
import { TASKS, taskNamed } from '../../tasks/index.ts';
import { recogniseTask } from '../../tasks/recognise.ts';
import type { Run, Task, TaskOptions } from '../../tasks/task.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { readSound } from '../models.ts';
import { setKnownSizes } from '../sizes.ts';

export interface EvalInput {
  /** Undefined: recognised. */
  readonly task: string | undefined;
  readonly data: string;
  /** The model that reads for those that write. */
  readonly encoder?: string | undefined;
  readonly dataOptions: DataOptions;
  readonly taskOptions: TaskOptions;
  readonly sizes: ReadonlyMap<string, number>;
  readonly batch: number;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
}

export interface Judged {
  readonly path: string;
  readonly model: Model;
  readonly task: Task;
  readonly dataset: Dataset;
  readonly evaluation: Evaluation;
  /** What it wrote or answered, where its task is that. */
  readonly texts?: readonly string[] | undefined;
  /** How a single run is fed, to time it; absent where data alone cannot. */
  readonly timed?: DataOptions | undefined;
}

/** Everything one model does on the data. */
export async function judgeModel(path: string, input: EvalInput): Promise<Judged> {
  const model = readFeedable(path, input.sizes);
  const half = input.encoder === undefined ? undefined : readFeedable(input.encoder, input.sizes);
  const named = input.task === undefined ? undefined : taskNamed(input.task);
  const specs = inputSpecs(half ?? model);
  const { dataOptions: options } = input;
  const taken = named?.data?.(specs, options, half !== undefined) ?? {
    inputs: specs,
    options,
    timed: options,
  };
  const dataset = await openDataset(input.data, taken.inputs, taken.options);
  const parts = half ? { first: half, second: model } : partsOf(model, specs, taken.inputs);
  const loaded = await loadModel(parts.second, input.session);
  const reading = parts.first && (await loadModel(parts.first, input.session));
  const step = input.reporter.step(`judging ${path}`, dataset.length);
  try {
    const run: Run = (feeds) => loaded.run(feeds);
    const task = named ?? (await recognise(dataset, run, input.batch));
    const encoder = reading && ((feeds: Feeds) => reading.run(feeds));
    const { taskOptions: judging } = input;
    const collector = task.collector({ model: parts.second, encoder, dataset, options: judging });
    for await (const batch of dataset.batches(input.batch)) {
      await collector.add(batch, run);
      step.advance(batch.count);
    }
    const evaluation = collector.finish();
    const timed = half ? undefined : taken.timed;
    return { path, model, task, dataset, evaluation, texts: collector.texts, timed };
  } finally {
    step.done();
    await loaded.dispose();
    await reading?.dispose();
  }
}

/** What depends on the data alone is computed once, where the task runs the model again and again. */
function partsOf(
  model: Model,
  inputs: readonly InputSpec[],
  filled: readonly InputSpec[],
): { readonly first?: Model; readonly second: Model } {
  const own = inputs.filter((input) => !filled.includes(input)).map(({ name }) => name);
  if (own.length === 0) return { second: model };
  const typed = model.clone();
  inferTypes(typed);
  return splitModel(typed, new Set(own)) ?? { second: model };
}

function readFeedable(path: string, sizes: ReadonlyMap<string, number>): Model {
  const model = readSound(path);
  setKnownSizes(model, sizes);
  const unfeedable = unfeedableInputs(model);
  if (unfeedable.length > 0) throw cannotFeed(path, unfeedable);
  return model;
}

/** By the first batch. */
async function recognise(dataset: Dataset, run: Run, size: number): Promise<Task> {
  const names = TASKS.map(({ name }) => name);
  for await (const batch of dataset.batches(size)) {
    const outputs = await run(batch.feeds);
    const found = recogniseTask(batch, outputs);
    if (found) return taskNamed(found);
    const targets = [...batch.targets.keys()].join(', ');
    if (targets === '') throw noTarget('', []);
    const given = [...outputs.keys()].join(', ');
    throw taskUnknown(names, `the data has ${targets}, the model gives ${given}`);
  }
  throw taskUnknown(names, 'the data is empty');
}
