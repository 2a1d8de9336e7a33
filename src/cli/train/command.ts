// What `train` and `distill` share: from flags to a run, from its result to files and the report.

import { Args, type Command, Flags, type Interfaces } from '@oclif/core';
import type { Batch, Dataset } from '../../data/dataset.ts';
import { requireTrainingData } from '../../errors/train.ts';
import type { Model } from '../../graph/index.ts';
import { parsePattern } from '../../passes/select.ts';
import type { Outcome } from '../../report/report.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { resolveProvider } from '../../runtime/provider.ts';
import { writeCheckpoint } from '../../train/checkpoint.ts';
import { mostTold } from '../../train/masking.ts';
import { OBJECTIVES, type ObjectiveName } from '../../train/objectives/index.ts';
import { BaseCommand, outputFlag, threadsFlag } from '../base.ts';
import { dataFlags, parseAmount } from '../data/flags.ts';
import { takeOverSignals } from '../interrupt.ts';
import { defaultOutput, readSound, summarize, writeOutput } from '../models.ts';
import { setSizes } from '../sizes.ts';
import { openTrainingData, writeVocabulary } from './data.ts';
import { trainFlags } from './flags.ts';
import { keptHalf } from './half.ts';
import { TrainLog } from './log.ts';
import {
  bottlenecksOf,
  plainWhereNeeded,
  qatOf,
  setHead,
  standardize,
  structuredPruning,
} from './model.ts';
import { inferObjective, maskingOf } from './objective.ts';
import { checkQatFlags } from './qat.ts';
import { trainBlocks, trainMetrics } from './report.ts';
import type { LoraRequest, Teaching, TrainRequest } from './request.ts';
import { replayRequest, retention } from './retain-flags.ts';
import { runTraining } from './run.ts';
import { objectiveSettings, optimizationSettings, totalSteps } from './settings.ts';
import type { StructuredPruning } from './structured.ts';

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
    const given = readSound(path);
    checkQatFlags(flags);
    const output = flags.output ?? defaultOutput(path, this.suffix);
    this.outputIsStdout = output === '-';
    setSizes(given, this.sizes);
    const before = summarize(given, path);
    const log = new TrainLog({
      reporter: this.reporter,
      log: flags.log,
      tensorboard: flags.tensorboard,
      histograms: flags.histograms,
    });
    const request = await this.#request(given, path, output, log);
    const preview = await this.preview(request);
    if (preview) return { input: before, ...preview };
    const stop = takeOverSignals();
    const result = await runTraining({ ...request, isStopped: stop.isAsked });
    stop.release();
    log.close();
    if (flags['lora-out']) {
      writeCheckpoint(flags['lora-out'], { state: result.adapters, facts: { lora: flags.lora } });
    }
    const { structured, data, qat } = request;
    const { weights, penalties } = result;
    const cut = structured && penalties ? structured.cut(weights, penalties) : undefined;
    if (structured && !cut) this.reporter.warn(NOT_CUT);
    const after = await writeOutput(cut?.model ?? result.model, output, {
      externalData: flags['external-data'],
    });
    if (data.vocabulary && output !== '-') writeVocabulary(data.vocabulary, output);
    if (result.isStopped) process.exitCode = stop.exitCode;
    const findings = { objective: request.name, log, result, before, after, cut, qat };
    return {
      input: before,
      output: after,
      metrics: {
        ...trainMetrics(findings),
        data: data.summary,
        ...(request.replay ? { replay: request.replay.data.summary } : {}),
      },
      steps: result.decisions,
      blocks: trainBlocks(findings),
    };
  }

  /** The run that the flags ask for; `given` gets the head that they ask for. */
  async #request(
    given: Model,
    path: string,
    output: string,
    log: TrainLog,
  ): Promise<
    TrainRequest & { readonly name: string; readonly structured?: StructuredPruning | undefined }
  > {
    const flags = this.flags as unknown as TrainingFlagValues;
    const start = given.clone();
    setHead(given, flags);
    const session = await this.#session();
    const original = await plainWhereNeeded(given, flags);
    const { data, validation, open } = await openTrainingData(original, flags);
    const name = await this.#objective(original, data);
    await standardize(original, flags, data, name);
    const structured = structuredPruning(original, flags);
    const bottlenecks = bottlenecksOf(original, path, flags, this.reporter);
    const sample = await data.take?.([0]);
    const { batch = BATCH } = flags;
    const { reporter } = this;
    const masking = name === 'mlm' ? maskingOf(original, flags, data.specialTokens) : undefined;
    const qat = await qatOf(flags, { path, original, data, batch, session, reporter });
    return {
      name: name ?? 'teachers',
      structured,
      original: qat?.fake.model ?? original,
      qat,
      path,
      data,
      validation,
      batch,
      objective: name && OBJECTIVES[name],
      objectiveSettings: {
        ...objectiveSettings(this.objectiveFlags(flags)),
        boxes: sample?.targets.get('boxes')?.shape[1],
        told: masking && mostTold(masking, batch * (sample?.feeds.get(masking.input)?.size ?? 1)),
      },
      isPaired: name === 'contrastive',
      masking,
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
      bottlenecks,
      teaching: this.teaching(original),
      replay: await replayRequest(flags, open),
      retention: await retention(flags, start, name, open),
      pruning: structured,
      keepHalf: keptHalf(flags),
      seed: flags.seed,
      session,
      onStart: (facts) => log.start(facts),
      onProgress: (progress) => log.progress(progress),
      onEvaluation: (evaluation) => log.evaluation(evaluation),
      onWeights: log.weights,
    };
  }

  /** The named objective, or what the outputs and the data look like. */
  async #objective(model: Model, data: Dataset): Promise<ObjectiveName | undefined> {
    const flags = this.flags as unknown as TrainingFlagValues;
    if (flags.objective) return flags.objective;
    if (flags.loss) return 'output';
    const sample = await data.take?.([0]);
    return sample ? this.objectiveName(model, sample) : 'output';
  }

  async #session(): Promise<SessionOptions> {
    const flags = this.flags as unknown as TrainingFlagValues;
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    if (note) this.reporter.warn({ code: 'provider', message: note });
    if (flags.precision !== 'fp32' && provider === 'cpu') this.reporter.warn(halfOnCpu(flags));
    return { provider, device, ...(flags.threads ? { threads: flags.threads } : {}) };
  }
}

function halfOnCpu({ precision }: TrainingFlagValues) {
  return {
    code: 'half-on-cpu',
    message: `the CPU provider has no fast products in ${precision}: what they read is rounded to it, so that the result is that of a GPU, and steps are not faster than in fp32`,
  };
}

const NOT_CUT = {
  code: 'not-cut',
  message: 'the run ended before the units that were to go were zero: nothing was cut',
};

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
