import { Args, Flags } from '@oclif/core';
import { BaseCommand, outputFlag, threadsFlag } from '../cli/base.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data/flags.ts';
import { defaultOutput, readInput, readSound, summarize, writeOutput } from '../cli/models.ts';
import { prepareCheck } from '../cli/optimize-check.ts';
import { choosePasses, fixedWeights, optimizeBlocks, passTable } from '../cli/optimize-report.ts';
import { setSizes } from '../cli/sizes.ts';
import { badFlagValue } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import type { Check } from '../passes/check.ts';
import { passes } from '../passes/index.ts';
import type { Runner } from '../passes/pass.ts';
import { runPasses } from '../passes/run.ts';
import { NEWEST_OPSET, upgradeOpset } from '../passes/upgrade/index.ts';
import type { Outcome } from '../report/report.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { COMPARABLE, createRunner } from '../runtime/runner.ts';

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
    level: Flags.option({ options: ['basic', 'extended', 'basic,extended', 'all'] as const })({
      summary: 'basic: standard operators only; extended or all: operators of com.microsoft, too',
      helpValue: 'basic|extended',
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
    const level = flags.level === 'basic' ? 'basic' : 'extended';
    const chosen = choosePasses(passes, { ...flags, level });
    const run = await this.runner();
    const options = { ...dataOptionsFrom(flags), data: flags.data, batch: flags.batch };
    const check = flags.check
      ? await prepareCheck(original, run, options, this.reporter)
      : undefined;
    const start = await this.convert(original, check);
    const step = this.reporter.step('optimizing');
    const result = await runPasses(start, chosen, {
      run,
      level,
      check,
      bisect: flags.bisect,
      onStep: (s) => {
        if (s.changed)
          this.reporter.detail(`${s.pass}: ${s.nodes_before} → ${s.nodes_after} nodes`);
        if (s.round > 1) return;
        for (const { node, reason } of s.skipped)
          this.reporter.detail(`${s.pass} leaves ${node} alone: ${reason}`);
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
    for (const warning of fixedWeights(original, result.model)) this.reporter.warn(warning);
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

  /** As exact as the provider can be: without optimisations of its own. */
  private async runner(): Promise<Runner> {
    const { provider, device, note } = await resolveProvider(
      this.flags.provider,
      this.flags.device,
    );
    if (note) this.reporter.warn({ code: 'provider', message: note });
    // One thread folds small constants faster than several.
    const threads = this.flags.threads ?? 1;
    return createRunner({ ...COMPARABLE, provider, device, threads, optimization: 'disabled' });
  }

  /** Lifts the opset where that was asked for. */
  private async convert(model: Model, check: Check | undefined): Promise<Model> {
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
    const problem = lifted.model === model ? undefined : await check?.compare(lifted.model);
    if (problem === undefined) return lifted.model;
    this.reporter.warn({
      code: 'opset-kept',
      message: `the model stays at opset ${lifted.from}: at opset ${opset} ${problem}`,
    });
    return model;
  }
}

/** The model as it came: the copy that passes worked on carries inferred types. */
function readAgain(model: Model, path: string): Model {
  return path === '-' ? model : readInput(path);
}
