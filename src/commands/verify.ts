import { Args, Flags } from '@oclif/core';
import { BaseCommand, threadsFlag } from '../cli/base.ts';
import { dataFlags, dataOptionsFrom, parseAmount } from '../cli/data/flags.ts';
import { readSound, summarize } from '../cli/models.ts';
import { setKnownSizes, setSizes } from '../cli/sizes.ts';
import {
  verifyBlocks,
  verifyMetrics,
  verifyReasons,
  verifyWarnings,
} from '../cli/verify-report.ts';
import { inputSpecs, unfeedableInputs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import { usageProblem } from '../errors/usage.ts';
import { cannotFeed, modelsDiffer } from '../errors/verify.ts';
import type { Outcome } from '../report/report.ts';
import { compareLayers } from '../runtime/layers.ts';
import { resolveProvider } from '../runtime/provider.ts';
import { verifyModels } from '../runtime/verify.ts';

/** Draws of random data, where no limit says otherwise. */
const RANDOM_BATCHES = 4;

export default class Verify extends BaseCommand<typeof Verify> {
  static override summary =
    'Are two models the same function? Compare their outputs on the same data';
  static override description =
    'An element agrees when |b - a| <= atol + rtol * |a|; integers, booleans and text must be equal. ' +
    'Exit code 4 when the models differ.';
  static override examples = [
    '<%= config.bin %> verify model.onnx model.optimized.onnx',
    '<%= config.bin %> verify model.onnx model.int8.onnx --data calib.npz --rtol 0.1 --layers',
  ];
  static override args = {
    a: Args.string({ description: 'the model to hold to', required: true, ignoreStdin: true }),
    b: Args.string({ description: 'the model in question', required: true, ignoreStdin: true }),
  };
  static override flags = {
    rtol: Flags.string({ summary: 'relative tolerance', default: '1e-3', helpValue: 'X' }),
    atol: Flags.string({ summary: 'absolute tolerance', default: '1e-5', helpValue: 'X' }),
    layers: Flags.boolean({ summary: 'find the first tensor inside that differs, and the worst' }),
    optimization: Flags.option({ options: ['disabled', 'basic', 'extended', 'all'] as const })({
      summary: "onnxruntime's own optimisation of both models",
      default: 'basic',
    }),
    ...dataFlags,
    threads: threadsFlag,
  };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    const { a, b } = this.args;
    const tolerance = {
      rtol: parseAmount('rtol', flags.rtol),
      atol: parseAmount('atol', flags.atol),
    };
    const dataOptions = dataOptionsFrom(flags);
    if (a === '-' && b === '-') throw usageProblem('only one of the models can be standard input');
    const expected = readSound(a);
    const actual = readSound(b);
    setSizes(expected, this.sizes);
    setKnownSizes(actual, this.sizes);
    const unfeedable = unfeedableInputs(expected);
    if (unfeedable.length > 0) throw cannotFeed(a, unfeedable);

    const spec = flags.data ?? 'random';
    const batch = flags.batch ?? 1;
    const limit = flags.limit ?? (spec === 'random' ? RANDOM_BATCHES * batch : undefined);
    const dataset = await openDataset(spec, inputSpecs(expected), { ...dataOptions, limit });
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    const session = {
      provider,
      device,
      exact: true,
      optimization: flags.optimization,
      ...(flags.threads ? { threads: flags.threads } : {}),
    };
    const step = this.reporter.step('comparing', dataset.length);
    const result = await verifyModels(expected, actual, dataset.batches(batch), {
      tolerance,
      session,
      onBatch: (count) => step.advance(count),
    });
    step.done();
    const layers =
      flags.layers && result.example
        ? await compareLayers(expected, actual, result.example, { tolerance, session })
        : undefined;
    const run = { a, b, data: dataset.summary, provider, tolerance, result, layers };
    return {
      input: [summarize(expected, a), summarize(actual, b)],
      metrics: verifyMetrics(run),
      warnings: verifyWarnings(run, note),
      blocks: verifyBlocks(run),
      ...(result.equal ? {} : { unmet: modelsDiffer(a, b, verifyReasons(run), flags.layers) }),
    };
  }
}
