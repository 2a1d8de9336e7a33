import { Args, Flags } from '@oclif/core';
import { BaseCommand, outputFlag, threadsFlag } from '../cli/base.ts';
import { dataFlags, dataOptionsFrom, parseAmount } from '../cli/data/flags.ts';
import { defaultOutput, readSound, summarize, writeOutput } from '../cli/models.ts';
import { openPruneData } from '../cli/prune/data.ts';
import { type PruneAsked, parsePrune, pruneFlags } from '../cli/prune/flags.ts';
import { type MethodContext, makePruner } from '../cli/prune/method.ts';
import type { Pruner } from '../cli/prune/plan.ts';
import { preparePlain } from '../cli/prune/prepare.ts';
import { repairing } from '../cli/prune/repair.ts';
import { pruneBlocks, pruneMetrics, pruneSteps } from '../cli/prune/report.ts';
import { type PruneInput, pruneModel } from '../cli/prune/run.ts';
import { healing } from '../cli/prune/train.ts';
import { setSizes } from '../cli/sizes.ts';
import { openSamples } from '../cli/train/data.ts';
import { prepareTrials } from '../cli/trials.ts';
import { latencyWithTraining, needsData } from '../errors/prune.ts';
import type { Model } from '../graph/index.ts';
import { requireMatches } from '../passes/select.ts';
import type { Outcome } from '../report/report.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { exactRunner } from '../runtime/runner.ts';

const TRAIN_BATCH = 32;

export default class Prune extends BaseCommand<typeof Prune> {
  static override summary = 'Remove what matters least, and measure what is left';
  static override description =
    'Structured methods (channel, head, neuron, hidden, layer, spatial) make tensors smaller, so that the model is ' +
    'smaller and faster anywhere. The result is run beside the original before it is written; the report names what ' +
    'was cut, and what stayed whole with the operator that stopped it.';
  static override examples = [
    '<%= config.bin %> prune model.onnx --amount 0.5',
    '<%= config.bin %> prune model.onnx --method head,neuron --amount 0.5 --round-to 8 -o small.onnx',
    '<%= config.bin %> prune model.onnx --target latency=0.5 --data train.npz',
    '<%= config.bin %> prune model.onnx --data train.npz --criterion taylor --scope global --max-drop 0.01',
    '<%= config.bin %> prune model.onnx --amount 0.7 --steps 3 --train-epochs 2 --data train.npz',
    "<%= config.bin %> prune model.onnx --amounts 'layer1*=0.3,fc=0' --sensitivity --data train.npz",
  ];
  static override args = {
    model: Args.string({
      description: 'an .onnx file, or - for standard input',
      ignoreStdin: true,
    }),
  };
  static override flags = {
    output: outputFlag,
    ...pruneFlags,
    ...dataFlags,
    'external-data': Flags.boolean({ summary: 'write weights to one file beside the model' }),
    threads: threadsFlag,
  };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    const asked = parsePrune(flags);
    const path = this.requireModel(this.args.model);
    const original = readSound(path);
    const output = flags.output ?? defaultOutput(path, 'pruned');
    this.outputIsStdout = output === '-';
    setSizes(original, this.sizes);
    const before = summarize(original, path);
    const { input, data } = await this.#input(original, path, asked);
    const result = await pruneModel(input);
    const after = await writeOutput(result.pruned.model, output, {
      externalData: flags['external-data'],
    });
    const judge = typeof input.trials === 'string' ? undefined : input.trials.judge;
    const findings = { ...result, before, after, judge };
    return {
      input: before,
      output: after,
      metrics: { ...pruneMetrics(findings), ...(data ? { data: data.summary } : {}) },
      steps: pruneSteps(findings),
      blocks: pruneBlocks(findings),
      ...(result.unmet ? { unmet: result.unmet } : {}),
    };
  }

  async #input(original: Model, path: string, asked: PruneAsked) {
    const { flags, reporter } = this;
    requireMatches(original, 'skip', asked.skip);
    requireMatches(original, 'only', asked.only);
    const patterns = asked.amounts.map(({ pattern }) => pattern);
    requireMatches(original, 'amounts', patterns);
    const session = await this.#session();
    const run = exactRunner(session);
    const options = { ...dataOptionsFrom(flags), data: flags.data, batch: flags.batch };
    const samples = flags.samples;
    const data = await openPruneData(original, { ...options, samples }, reporter);
    const plain = await preparePlain(original, run);
    const trials = await this.#trials(original, session, asked);
    const context = { run, session, reporter, data };
    const input: PruneInput = {
      path,
      original,
      plain,
      pruner: this.#pruner(asked, context),
      ask: asked,
      heal: await this.#heal(original, path, session, asked),
      steps: flags.steps,
      scan: flags.sensitivity,
      latency:
        asked.latency === undefined
          ? undefined
          : {
              left: asked.latency,
              file: flags['latency-table'],
              settings: { ...asked, latency: 0 },
            },
      maxDrop: asked.maxDrop,
      bench: flags.bench,
      trials,
      reporter,
    };
    return { input, data };
  }

  /** With repair where there is data for it; random numbers repair nothing unless asked to. */
  #pruner(asked: PruneAsked, context: MethodContext): Pruner {
    const { flags } = this;
    const pruner = makePruner(asked, context);
    const { data } = context;
    if (flags.repair && !data) throw needsData('--repair');
    const isWanted = flags.repair ?? (data !== undefined && flags.data !== 'random');
    return isWanted && data ? repairing(pruner, { ...context, data }) : pruner;
  }

  /** Training between the steps, on all of the data. */
  async #heal(original: Model, path: string, session: SessionOptions, { latency }: PruneAsked) {
    const { flags, reporter } = this;
    const { lr, seed, batch = TRAIN_BATCH, 'train-epochs': epochs } = flags;
    if (epochs === undefined) return undefined;
    if (!flags.data) throw needsData('--train-epochs');
    if (latency !== undefined) throw latencyWithTraining();
    parseAmount('train-epochs', epochs);
    const data = await openSamples(flags.data, original, dataOptionsFrom(flags));
    const options = { path, original, data, batch, epochs, lr, seed, session, reporter };
    return (pruner: Pruner) => healing(pruner, options);
  }

  async #session(): Promise<SessionOptions> {
    const { flags } = this;
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    if (note) this.reporter.warn({ code: 'provider', message: note });
    return { provider, device, ...(flags.threads ? { threads: flags.threads } : {}) };
  }

  async #trials(original: Model, session: SessionOptions, { latency }: PruneAsked) {
    const { flags } = this;
    if (!flags.check && !latency) return '--no-check was given';
    const data = flags.val ?? flags.data ?? 'random';
    const isChanged = this.sizes.size > 0;
    const options = { ...dataOptionsFrom(flags), data, batch: flags.batch, isChanged };
    return prepareTrials(original, options, session, this.reporter);
  }
}
