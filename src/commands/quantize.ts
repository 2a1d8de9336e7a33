import { readFileSync, writeFileSync } from 'node:fs';
import { Args, Flags } from '@oclif/core';
import { BaseCommand, outputFlag, threadsFlag } from '../cli/base.ts';
import { calibrationFlags, type OpenedCalibration, openCalibration } from '../cli/calibration.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data/flags.ts';
import { parseDrop, parseLatency, parseSize } from '../cli/limits.ts';
import { machineFacts } from '../cli/machine.ts';
import { defaultOutput, readSound, summarize, writeOutput } from '../cli/models.ts';
import { prepareFloat } from '../cli/prepare-float.ts';
import { quantizeFlags, settingsFrom } from '../cli/quantize/flags.ts';
import { improvementTable, notQuantized, requireData } from '../cli/quantize/notes.ts';
import { makeQuantizer } from '../cli/quantize/quantizer.ts';
import { quantizeBlocks, quantizeMetrics } from '../cli/quantize/report.ts';
import { type QuantizeInput, quantizeModel } from '../cli/quantize/run.ts';
import { runTransformersJs } from '../cli/quantize/transformersjs-run.ts';
import { setSizes } from '../cli/sizes.ts';
import { prepareTrials } from '../cli/trials.ts';
import { usageProblem } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import type { Runner } from '../passes/pass.ts';
import { parseRecipe, printRecipe, type Recipe, unknownLayers } from '../passes/quantize/recipe.ts';
import { parsePattern, requireMatches } from '../passes/select.ts';
import type { Outcome } from '../report/report.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { exactRunner } from '../runtime/runner.ts';
import { resolveTarget } from '../targets/target.ts';

export default class Quantize extends BaseCommand<typeof Quantize> {
  static override summary = 'Make a model of 8, 4 or 2 bits, or of half precision, and measure it';
  static override description =
    'The result is run beside the original before it is written: the report says how close it is, how fast, ' +
    'and which layers stayed float, each with its reason.';
  static override examples = [
    '<%= config.bin %> quantize model.onnx --mode static --data calibration.npz',
    '<%= config.bin %> quantize model.onnx --mode static --data calibration.npz --max-drop 0.01 --save-recipe r.json',
    '<%= config.bin %> quantize model.onnx --mode weights --bits 4',
    '<%= config.bin %> quantize model.onnx --mode fp16 -o half.onnx',
    '<%= config.bin %> quantize model.onnx --preset transformersjs -o web/',
  ];
  static override args = {
    model: Args.string({
      description: 'an .onnx file, or - for standard input',
      ignoreStdin: true,
    }),
  };
  static override flags = {
    output: outputFlag,
    ...quantizeFlags,
    preset: Flags.option({ options: ['transformersjs'] as const })({
      summary: 'the whole set of files that transformers.js loads, in a folder',
    }),
    ...calibrationFlags,
    ...dataFlags,
    'external-data': Flags.boolean({ summary: 'write weights to one file beside the model' }),
    threads: threadsFlag,
  };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    if (flags['list-improvements']) return { blocks: [improvementTable()] };
    const path = this.requireModel(this.args.model);
    if (flags.preset) return this.#preset(path);
    const recipe = this.#recipe();
    const settings = recipe?.settings ?? settingsFrom(flags);
    requireData(settings, flags.data);
    const original = readSound(path);
    const output = flags.output ?? defaultOutput(path, 'quantized');
    this.outputIsStdout = output === '-';
    setSizes(original, this.sizes);
    const before = summarize(original, path);
    const session = await this.#session();
    const calibrated = await this.#calibration(original, session, settings.mode);
    const input = await this.#input(original, path, session, recipe, calibrated);
    const found = await quantizeModel({ ...input, settings });
    if (flags['save-recipe']) {
      writeFileSync(flags['save-recipe'], printRecipe({ settings, layers: found.layers }));
    }
    const after = await writeOutput(found.quantized.model, output, {
      externalData: flags['external-data'],
    });
    const findings = { ...found, before, after, decisions: found.quantized.decisions };
    return {
      input: before,
      output: after,
      metrics: {
        ...quantizeMetrics(findings),
        ...(calibrated ? { data: calibrated.summary } : {}),
      },
      steps: findings.decisions,
      blocks: quantizeBlocks(findings),
      ...(found.unmet ? { unmet: found.unmet } : {}),
    };
  }

  async #input(
    original: Model,
    path: string,
    session: SessionOptions,
    recipe: Recipe | undefined,
    calibrated: OpenedCalibration | undefined,
  ): Promise<Omit<QuantizeInput, 'settings'>> {
    const { flags, reporter } = this;
    const [skip, only] = [flags.skip.map(parsePattern), flags.only.map(parsePattern)];
    requireMatches(original, 'skip', skip);
    requireMatches(original, 'only', only);
    for (const warning of notQuantized(original)) reporter.warn(warning);
    const options = dataOptionsFrom(flags);
    const run = this.#runner(session);
    const check = { ...options, data: flags.data, batch: flags.batch };
    const trials = await this.#trials(original, session);
    const judge = typeof trials === 'string' ? undefined : trials.judge;
    const float = flags.optimize
      ? await prepareFloat(original, run, check, reporter, judge)
      : original.clone();
    const missing = recipe ? unknownLayers(recipe, float) : [];
    if (missing.length > 0) {
      const message = `the recipe names layers that are not there: ${missing.slice(0, 5).join(', ')}`;
      reporter.warn({ code: 'recipe-layers-unknown', message });
    }
    const target = resolveTarget(flags.target, machineFacts(session.provider));
    const speedMatters = flags.mode === 'static' || flags.mode === 'dynamic' || !flags.mode;
    return {
      original,
      float,
      path,
      layers: recipe?.layers ?? new Map(),
      skip,
      only,
      maxDrop: parseDrop(flags['max-drop']),
      limit: parseSize(flags['max-size']) ?? parseLatency(flags['max-latency']),
      scan: flags.sensitivity,
      bench: flags.bench,
      keepFaster: flags['keep-faster'] ?? (speedMatters && target.isHere && !recipe),
      run,
      target,
      session,
      seed: flags.seed,
      calibration: calibrated?.calibration,
      trials,
      reporter,
    };
  }

  async #calibration(original: Model, session: SessionOptions, mode: string) {
    const { flags } = this;
    return openCalibration(original, {
      flags,
      dataOptions: dataOptionsFrom(flags),
      bits: mode === 'static' && flags.bits === '16' ? 16 : 8,
      session: { ...session, optimization: 'basic' },
      reporter: this.reporter,
    });
  }

  async #session(): Promise<SessionOptions> {
    const { flags } = this;
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    if (note) this.reporter.warn({ code: 'provider', message: note });
    return { provider, device, ...(flags.threads ? { threads: flags.threads } : {}) };
  }

  async #trials(original: Model, session: SessionOptions) {
    const { flags } = this;
    if (!flags.check) return '--no-check was given';
    const data = flags.val ?? flags.data ?? 'random';
    const isChanged = this.sizes.size > 0;
    const options = { ...dataOptionsFrom(flags), data, batch: flags.batch, isChanged };
    return prepareTrials(original, options, session, this.reporter);
  }

  /** Every file of the set is quantised for browsers. */
  async #preset(path: string): Promise<Outcome> {
    const { flags, reporter, sizes } = this;
    const session = await this.#session();
    const run = this.#runner(session);
    const target = resolveTarget('web-wasm', machineFacts('cpu'));
    return runTransformersJs(path, flags.output, {
      ...dataOptionsFrom(flags),
      data: flags.data,
      batch: flags.batch,
      externalData: flags['external-data'],
      sizes,
      run,
      session,
      reporter,
      async quantize(float, settings, layers) {
        const base = { skip: [], only: [], run, target, seed: flags.seed, calibration: undefined };
        const quantizer = await makeQuantizer({ ...base, float, settings });
        return quantizer(layers);
      },
    });
  }

  /** As exact as the provider can be: for passes that need numbers. */
  #runner(session: SessionOptions): Runner {
    return exactRunner(session);
  }

  /** Settings of a recipe and of flags would contradict each other. */
  #recipe(): Recipe | undefined {
    const { recipe: path } = this.flags;
    if (path === undefined) return undefined;
    const scheme = ['mode', 'bits', 'activations', 'weights', 'per-channel', 'symmetric', 'format'];
    const both = [...scheme, 'block', 'algorithm', 'smooth', 'improve'].find((f) =>
      this.given.has(f),
    );
    if (both) throw usageProblem(`--${both} and --recipe both say what to make`, 'Leave one out.');
    return parseRecipe(readFileSync(path, 'utf8'), path);
  }
}
