import { freemem } from 'node:os';
import { Args, Flags } from '@oclif/core';
import { BaseCommand, outputFlag, threadsFlag } from '../cli/base.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data-flags.ts';
import { defaultOutput, readInput, readSound, summarize, writeOutput } from '../cli/models.ts';
import { choosePasses, optimizeBlocks, passTable } from '../cli/optimize-report.ts';
import { setSizes } from '../cli/sizes.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import { badFlagValue } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import { weightBytes } from '../inspect/summary.ts';
import { type Check, makeCheck } from '../passes/check.ts';
import { passes } from '../passes/index.ts';
import type { Runner } from '../passes/pass.ts';
import { runPasses } from '../passes/run.ts';
import { NEWEST_OPSET, upgradeOpset } from '../passes/upgrade/index.ts';
import type { Outcome } from '../report/report.ts';
import { COMPARABLE, createRunner } from '../runtime/runner.ts';
import type { Feeds } from '../tensor/feeds.ts';

/** Share of the free memory that a model may take to be run: sessions copy weights. */
const RUNNABLE_SHARE = 0.2;
const CHECK_SAMPLES = 2;

export default class Optimize extends BaseCommand<typeof Optimize> {
  static override summary =
    'Make an equal graph with fewer nodes; every pass is checked on the spot';
  static override description =
    'Passes are applied until nothing changes. After each one that changed something the model is run ' +
    'on the same inputs; a pass after which the results differ is undone and named.';
  static override examples = [
    '<%= config.bin %> optimize model.onnx -o small.onnx',
    '<%= config.bin %> optimize model.onnx --level extended --set batch=1',
    '<%= config.bin %> optimize model.onnx --passes fuse-batchnorm,drop-dead',
  ];
  static override args = {
    model: Args.string({
      description: 'an .onnx file, or - for standard input',
      ignoreStdin: true,
    }),
  };
  static override flags = {
    output: outputFlag,
    level: Flags.option({ options: ['basic', 'extended'] as const })({
      summary: 'basic: standard operators only; extended: operators of com.microsoft, too',
      default: 'basic',
    }),
    passes: Flags.string({ summary: 'only these passes', helpValue: 'A,B' }),
    'skip-pass': Flags.string({
      summary: 'leave these passes out',
      helpValue: 'A,B',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'list-passes': Flags.boolean({ summary: 'show the passes in their order, and end' }),
    opset: Flags.integer({
      summary: 'convert the model up to this opset first',
      helpValue: 'N',
      min: 1,
    }),
    check: Flags.boolean({
      summary: 'run the model after each pass that changed it',
      allowNo: true,
      default: true,
    }),
    bisect: Flags.boolean({ summary: 'find the node with which a pass breaks the model' }),
    'external-data': Flags.boolean({ summary: 'write weights to one file beside the model' }),
    ...dataFlags,
    threads: threadsFlag,
  };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    if (flags['list-passes']) return { blocks: [passTable(passes)] };
    const path = this.requireModel(this.args.model);
    const original = readSound(path);
    const output = flags.output ?? defaultOutput(path, 'optimized');
    this.outputIsStdout = output === '-';
    setSizes(original, this.sizes);
    const input = summarize(original, path);
    const chosen = choosePasses(passes, flags);
    const start = this.convert(original);
    const run = createRunner({
      ...COMPARABLE,
      threads: flags.threads ?? 1,
      optimization: 'disabled',
    });
    const check = flags.check ? await this.makeCheck(original, run) : undefined;
    const step = this.reporter.step('optimizing');
    const result = await runPasses(start, chosen, {
      run,
      level: flags.level,
      check,
      bisect: flags.bisect,
      onStep: (s) => {
        if (s.changed)
          this.reporter.detail(`${s.pass}: ${s.nodes_before} → ${s.nodes_after} nodes`);
      },
    });
    step.done();
    for (const s of result.steps.filter((one) => one.undone)) {
      const where = s.culprit ? { where: s.culprit } : {};
      this.reporter.warn({
        code: 'pass-undone',
        message: `${s.pass} was undone: ${s.undone}`,
        ...where,
      });
    }
    const changed = result.changed || start !== original || this.sizes.size > 0;
    const final = changed ? result.model : readAgain(original, path);
    const written = await writeOutput(final, output, { externalData: flags['external-data'] });
    return {
      input,
      output: written,
      steps: result.steps.filter((s) => s.changed || s.skipped.length > 0),
      metrics: {
        checked: check !== undefined,
        settled: result.settled,
        opset: { from: input.opset, to: written.opset },
      },
      blocks: optimizeBlocks(input, written, result, check !== undefined),
    };
  }

  /** Lifts the opset where that was asked for. */
  private convert(model: Model): Model {
    const { opset } = this.flags;
    if (opset === undefined) return model;
    if (opset > NEWEST_OPSET)
      throw badFlagValue('opset', String(opset), `an opset up to ${NEWEST_OPSET}`);
    if (opset < model.opset) {
      throw badFlagValue(
        'opset',
        String(opset),
        `${model.opset}, which the model has, or more: it is never lowered`,
      );
    }
    const lifted = upgradeOpset(model, opset);
    if (lifted.blocked) {
      const { node, reason } = lifted.blocked;
      this.reporter.warn({
        code: 'opset-kept',
        message: `the model stays at opset ${lifted.from}: ${reason}`,
        where: node,
      });
    }
    return lifted.model;
  }

  /** What a pass has to keep; undefined, with the reason as a warning, where the model cannot run. */
  private async makeCheck(model: Model, run: Runner): Promise<Check | undefined> {
    const bytes = weightBytes(model);
    if (bytes > freemem() * RUNNABLE_SHARE) {
      this.reporter.warn({
        code: 'not-checked',
        message: `the passes were not checked: running ${(bytes / 1e9).toFixed(1)} GB of weights does not fit into the free memory`,
      });
      return undefined;
    }
    try {
      const options = { ...dataOptionsFrom(this.flags), limit: this.flags.limit ?? CHECK_SAMPLES };
      const dataset = await openDataset(this.flags.data ?? 'random', inputSpecs(model), options);
      const samples: Feeds[] = [];
      for await (const batch of dataset.batches(this.flags.batch ?? 1)) samples.push(batch.feeds);
      return await makeCheck(model, run, samples);
    } catch (error) {
      if (this.flags.data) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      this.reporter.warn({
        code: 'not-checked',
        message: `the passes were not checked: the original does not run (${reason})`,
      });
      return undefined;
    }
  }
}

/** The model as it came: the copy that passes worked on carries inferred types. */
function readAgain(model: Model, path: string): Model {
  return path === '-' ? model : readInput(path);
}
