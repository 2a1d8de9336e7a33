// What `train` and `distill` share: from flags to a run, from its result to files and the report.

import { Args, type Command, Flags, type Interfaces } from '@oclif/core';
import type { Batch, Dataset } from '../data/dataset.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import { requireTrainingData } from '../errors/train.ts';
import { badFlagValue } from '../errors/usage.ts';
import { type Model, symbol } from '../graph/index.ts';
import { parsePattern } from '../passes/select.ts';
import type { Outcome } from '../report/report.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { writeCheckpoint } from '../train/checkpoint.ts';
import { setClasses } from '../train/head.ts';
import { OBJECTIVES, type ObjectiveName } from '../train/objectives/index.ts';
import { BaseCommand, outputFlag, threadsFlag } from './base.ts';
import { dataFlags, dataOptionsFrom, parseAmount } from './data-flags.ts';
import { takeOverSignals } from './interrupt.ts';
import { defaultOutput, readSound, summarize, writeOutput } from './models.ts';
import { setSizes } from './sizes.ts';
import { trainFlags } from './train-flags.ts';
import { TrainLog } from './train-log.ts';
import { inferObjective, maskingOf } from './train-objective.ts';
import { trainBlocks, trainMetrics } from './train-report.ts';
import type { LoraRequest, Teaching, TrainRequest } from './train-request.ts';
import { runTraining } from './train-run.ts';
import { objectiveSettings, optimizationSettings, totalSteps } from './train-settings.ts';
import { putWeights } from './train-weights.ts';

const BATCH = 32;

export const trainingArgs = {
  model: Args.string({ description: 'an .onnx file, or - for standard input', ignoreStdin: true }),
};

export const trainingFlags = {
  output: outputFlag,
  ...trainFlags,
  ...dataFlags,
  'external-data': Flags.boolean({ summary: 'write weights to one file beside the model' }),
  threads: threadsFlag,
};

export type TrainingFlagValues = Interfaces.InferredFlags<typeof trainingFlags> &
  Interfaces.InferredFlags<(typeof BaseCommand)['baseFlags']>;

export abstract class TrainingCommand<T extends typeof Command> extends BaseCommand<T> {
  /** The word in the name of the file that is written by default. */
  protected abstract readonly suffix: string;

  /** Teachers, for distillation. */
  protected teaching(_student: Model): Teaching | undefined {
    return undefined;
  }

  /** The objective where none was named: undefined where labels are not needed. */
  protected objectiveName(model: Model, sample: Batch): ObjectiveName | undefined {
    return inferObjective(model, sample);
  }

  /** What is shown instead of a run. */
  protected preview(_request: TrainRequest): Promise<Outcome | undefined> {
    return Promise.resolve(undefined);
  }

  /** The flags as the objective reads them. */
  protected objectiveFlags(flags: TrainingFlagValues): TrainingFlagValues {
    return flags;
  }

  protected override async work(): Promise<Outcome> {
    const flags = this.flags as unknown as TrainingFlagValues;
    const path = this.requireModel((this.args as { model?: string }).model);
    if (!flags.data) throw requireTrainingData();
    const original = readSound(path);
    const output = flags.output ?? defaultOutput(path, this.suffix);
    this.outputIsStdout = output === '-';
    setSizes(original, this.sizes);
    const before = summarize(original, path);
    this.#setHead(original, flags);
    const { data, validation } = await this.#datasets(original, flags);
    const sample = await data.take?.([0]);
    const inferred = () => (sample ? this.objectiveName(original, sample) : 'output');
    const name = flags.objective ?? (flags.loss ? 'output' : inferred());
    const log = new TrainLog({
      reporter: this.reporter,
      log: flags.log,
      tensorboard: flags.tensorboard,
    });
    const stop = takeOverSignals();
    const request: TrainRequest = {
      original,
      path,
      data,
      validation,
      batch: flags.batch ?? BATCH,
      objective: name && OBJECTIVES[name],
      objectiveSettings: objectiveSettings(this.objectiveFlags(flags)),
      isPaired: name === 'contrastive',
      masking: name === 'mlm' ? maskingOf(original, flags) : undefined,
      optimization: optimizationSettings(flags),
      steps: (perEpoch) => totalSteps(flags, perEpoch),
      evaluateEvery: flags['eval-every'],
      checkpointEvery: flags['checkpoint-every'],
      patience: flags.patience,
      keep: flags.keep ?? (flags.patience === undefined ? 'last' : 'best'),
      checkpoint: flags.checkpoint ?? (output === '-' ? undefined : `${output}.checkpoint`),
      resume: flags.resume,
      freeze: flags.freeze.map(parsePattern),
      lora: loraRequest(flags),
      teaching: this.teaching(original),
      seed: flags.seed,
      session: await this.#session(),
      onStart: (facts) => log.start(facts),
      onProgress: (progress) => log.progress(progress),
      onEvaluation: (evaluation) => log.evaluation(evaluation),
      isStopped: stop.isAsked,
    };
    const preview = await this.preview(request);
    if (preview) return { input: before, ...preview };
    const result = await runTraining(request);
    stop.release();
    log.close();
    if (flags['lora-out']) {
      writeCheckpoint(flags['lora-out'], { state: result.adapters, facts: { lora: flags.lora } });
    }
    const after = await writeOutput(putWeights(original, result.weights), output, {
      externalData: flags['external-data'],
    });
    if (result.isStopped) process.exitCode = stop.exitCode;
    const findings = { objective: name ?? 'teachers', log, result, before, after };
    return {
      input: before,
      output: after,
      metrics: { ...trainMetrics(findings), data: data.summary },
      steps: [],
      blocks: trainBlocks(findings),
    };
  }

  #setHead(model: Model, flags: TrainingFlagValues): void {
    const { head, seed } = flags;
    const more = flags['expand-classes'];
    if (more !== undefined) setClasses(model, more, true, seed);
    if (head === undefined) return;
    const classes = /^classify:([1-9]\d*)$/.exec(head)?.[1];
    if (!classes) throw badFlagValue('head', head, 'a kind and a number, as in classify:10');
    setClasses(model, Number(classes), false, seed);
  }

  async #session(): Promise<SessionOptions> {
    const flags = this.flags as unknown as TrainingFlagValues;
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    if (note) this.reporter.warn({ code: 'provider', message: note });
    return { provider, device, ...(flags.threads ? { threads: flags.threads } : {}) };
  }

  /** What is trained on, and what is validated on: of --val, else the rest of --split. */
  async #datasets(
    original: Model,
    flags: TrainingFlagValues,
  ): Promise<{ data: Dataset; validation: Dataset | undefined }> {
    const options = dataOptionsFrom(flags);
    const specs = inputSpecs(original).map((input) => ({
      ...input,
      shape: [symbol('batch'), ...input.shape.slice(1)],
    }));
    const data = await openDataset(flags.data ?? '', specs, options);
    const { split: _, part: __, ...whole } = options;
    if (flags.val) return { data, validation: await openDataset(flags.val, specs, whole) };
    if (options.split === undefined) return { data, validation: undefined };
    const rest = { ...options, part: 'rest', limit: undefined } as const;
    return { data, validation: await openDataset(flags.data ?? '', specs, rest) };
  }
}

function loraRequest(flags: TrainingFlagValues): LoraRequest | undefined {
  const { lora: rank } = flags;
  if (rank === undefined) return undefined;
  const alpha = flags['lora-alpha'];
  return {
    rank,
    alpha: alpha === undefined ? 2 * rank : parseAmount('lora-alpha', alpha),
    targets: flags['lora-target'].map(parsePattern),
  };
}
