import { Args, Flags } from '@oclif/core';
import { BaseCommand, outputFlag, threadsFlag } from '../cli/base.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data-flags.ts';
import { takeOverSignals } from '../cli/interrupt.ts';
import { defaultOutput, readSound, summarize, writeOutput } from '../cli/models.ts';
import { setSizes } from '../cli/sizes.ts';
import { trainFlags } from '../cli/train-flags.ts';
import { TrainLog } from '../cli/train-log.ts';
import { inferObjective, maskingOf } from '../cli/train-objective.ts';
import { trainBlocks, trainMetrics } from '../cli/train-report.ts';
import { runTraining } from '../cli/train-run.ts';
import { objectiveSettings, optimizationSettings, totalSteps } from '../cli/train-settings.ts';
import { putWeights } from '../cli/train-weights.ts';
import type { Dataset } from '../data/dataset.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import { requireTrainingData } from '../errors/train.ts';
import { type Model, symbol } from '../graph/index.ts';
import { parsePattern } from '../passes/select.ts';
import type { Outcome } from '../report/report.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { OBJECTIVES } from '../train/objectives/index.ts';

const BATCH = 32;

export default class Train extends BaseCommand<typeof Train> {
  static override summary = 'Fit a model to data: train, fine-tune, pretrain';
  static override description =
    'Loss, gradients and optimiser are one ONNX graph that onnxruntime runs; what is written is the model as it ' +
    'was, with other weights. A run that was stopped goes on with --resume.';
  static override examples = [
    '<%= config.bin %> train model.onnx --data train.npz --val test.npz --epochs 5 -o trained.onnx',
    '<%= config.bin %> train model.onnx --data photos/ --split train=0.9 --optimizer sgd --lr 0.05 --ema 0.999',
    '<%= config.bin %> train model.onnx --data train.npz --freeze "layers.0*" --lr 1e-4 --resume',
  ];
  static override args = {
    model: Args.string({
      description: 'an .onnx file, or - for standard input',
      ignoreStdin: true,
    }),
  };
  static override flags = {
    output: outputFlag,
    ...trainFlags,
    ...dataFlags,
    'external-data': Flags.boolean({ summary: 'write weights to one file beside the model' }),
    threads: threadsFlag,
  };

  protected override async work(): Promise<Outcome> {
    const { flags, reporter } = this;
    const path = this.requireModel(this.args.model);
    if (!flags.data) throw requireTrainingData();
    const original = readSound(path);
    const output = flags.output ?? defaultOutput(path, 'trained');
    this.outputIsStdout = output === '-';
    setSizes(original, this.sizes);
    const before = summarize(original, path);
    const { data, validation } = await this.#datasets(original, flags.data);
    const sample = await data.take?.([0]);
    const name =
      flags.objective ?? (flags.loss || !sample ? 'output' : inferObjective(original, sample));
    const session = await this.#session();
    const log = new TrainLog({ reporter, log: flags.log, tensorboard: flags.tensorboard });
    const stop = takeOverSignals();
    const result = await runTraining({
      original,
      path,
      data,
      validation,
      batch: flags.batch ?? BATCH,
      objective: OBJECTIVES[name],
      objectiveSettings: objectiveSettings(flags),
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
      seed: flags.seed,
      session,
      onStart: (facts) => log.start(facts),
      onProgress: (progress) => log.progress(progress),
      onEvaluation: (evaluation) => log.evaluation(evaluation),
      isStopped: stop.isAsked,
    });
    stop.release();
    log.close();
    const after = await writeOutput(putWeights(original, result.weights), output, {
      externalData: flags['external-data'],
    });
    if (result.isStopped) process.exitCode = stop.exitCode;
    const findings = { objective: name, log, result, before, after };
    return {
      input: before,
      output: after,
      metrics: { ...trainMetrics(findings), data: data.summary },
      steps: [],
      blocks: trainBlocks(findings),
    };
  }

  async #session(): Promise<SessionOptions> {
    const { flags } = this;
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    if (note) this.reporter.warn({ code: 'provider', message: note });
    return { provider, device, ...(flags.threads ? { threads: flags.threads } : {}) };
  }

  /** What is trained on, and what is validated on: of --val, else the rest of --split. */
  async #datasets(
    original: Model,
    spec: string,
  ): Promise<{ data: Dataset; validation: Dataset | undefined }> {
    const { flags } = this;
    const options = dataOptionsFrom(flags);
    const specs = inputSpecs(original).map((input) => ({
      ...input,
      shape: [symbol('batch'), ...input.shape.slice(1)],
    }));
    const data = await openDataset(spec, specs, options);
    const { split: _, part: __, ...whole } = options;
    if (flags.val) return { data, validation: await openDataset(flags.val, specs, whole) };
    if (options.split === undefined) return { data, validation: undefined };
    const rest = { ...options, part: 'rest', limit: undefined } as const;
    return { data, validation: await openDataset(spec, specs, rest) };
  }
}
