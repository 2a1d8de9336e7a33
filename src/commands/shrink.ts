import { Args, Flags } from '@oclif/core';
import { BaseCommand, outputFlag, threadsFlag } from '../cli/base.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data/flags.ts';
import { defaultOutput, readSound, summarize, writeOutput } from '../cli/models.ts';
import { openPruneData } from '../cli/prune/data.ts';
import { preparePlain } from '../cli/prune/prepare.ts';
import { pruneBlocks, pruneMetrics, pruneSteps } from '../cli/prune/report.ts';
import { pruneModel } from '../cli/prune/run.ts';
import { parseShrink, shrinkFlags } from '../cli/shrink/flags.ts';
import { type ShrinkAsked, type Shrunk, shrinker } from '../cli/shrink/model.ts';
import { setSizes } from '../cli/sizes.ts';
import { prepareTrials, type Trials } from '../cli/trials.ts';
import type { Model } from '../graph/index.ts';
import { requireMatches } from '../passes/select.ts';
import type { Block, Outcome } from '../report/report.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { exactRunner } from '../runtime/runner.ts';

export default class Shrink extends BaseCommand<typeof Shrink> {
  static override summary =
    'Make a student from its teacher: fewer layers, narrower ones, their weights';
  static override description =
    'Layers (residual blocks) that stay are evenly spaced, the first and the last among them; channels, heads, neurons ' +
    'and hidden widths that stay are the most important ones. What stays keeps its weights, so that distill or train ' +
    'has less to do.';
  static override examples = [
    '<%= config.bin %> shrink teacher.onnx -o student.onnx --depth 0.5',
    '<%= config.bin %> shrink teacher.onnx -o student.onnx --depth 0.5 --width 0.5 --data train.npz',
    '<%= config.bin %> distill student.onnx --teacher teacher.onnx --data train.npz',
  ];
  static override args = {
    model: Args.string({
      description: 'the teacher: an .onnx file, or - for standard input',
      ignoreStdin: true,
    }),
  };
  static override flags = {
    output: outputFlag,
    ...shrinkFlags,
    ...dataFlags,
    'external-data': Flags.boolean({ summary: 'write weights to one file beside the model' }),
    threads: threadsFlag,
  };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    const asked = parseShrink(flags);
    const path = this.requireModel(this.args.model);
    const original = readSound(path);
    const output = flags.output ?? defaultOutput(path, 'shrunk');
    this.outputIsStdout = output === '-';
    setSizes(original, this.sizes);
    requireMatches(original, 'skip', asked.skip);
    const before = summarize(original, path);
    const { trials, result, shrunk } = await this.#shrink(original, path, asked);
    const after = await writeOutput(result.pruned.model, output, {
      externalData: flags['external-data'],
    });
    const judge = typeof trials === 'string' ? undefined : trials.judge;
    const findings = { ...result, before, after, judge, notes: layerBlocks(shrunk) };
    const { kept, dropped } = shrunk;
    return {
      input: before,
      output: after,
      metrics: { ...pruneMetrics(findings), depth: asked.depth, width: asked.width, kept, dropped },
      steps: pruneSteps(findings),
      blocks: pruneBlocks(findings),
    };
  }

  async #shrink(original: Model, path: string, asked: ShrinkAsked) {
    const { flags, reporter } = this;
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    if (note) reporter.warn({ code: 'provider', message: note });
    const session = { provider, device, ...(flags.threads ? { threads: flags.threads } : {}) };
    const run = exactRunner(session);
    const options = { ...dataOptionsFrom(flags), data: flags.data, batch: flags.batch };
    const data = await openPruneData(original, { ...options, samples: flags.samples }, reporter);
    const trials = await this.#trials(original, session);
    let shrunk: Shrunk | undefined;
    const make = shrinker(asked, { run, session, reporter, data });
    const result = await pruneModel({
      path,
      original,
      plain: await preparePlain(original, run),
      pruner: async (model) => {
        shrunk = await make(model);
        return shrunk;
      },
      ask: {},
      steps: 1,
      scan: false,
      bench: flags.bench,
      trials,
      reporter,
    });
    return { trials, result, shrunk: shrunk as unknown as Shrunk };
  }

  #trials(original: Model, session: SessionOptions): Promise<Trials | string> {
    const { flags } = this;
    const isChanged = this.sizes.size > 0;
    const data = flags.data ?? 'random';
    const options = { ...dataOptionsFrom(flags), data, batch: flags.batch, isChanged };
    return prepareTrials(original, options, session, this.reporter);
  }
}

function layerBlocks({ kept, dropped }: Shrunk): Block[] {
  if (dropped.length === 0) return [];
  const facts: [string, string][] = [
    ['kept', kept.join(', ')],
    ['dropped', dropped.join(', ')],
  ];
  return [{ title: 'Layers', facts }];
}
