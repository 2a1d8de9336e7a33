import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base.ts';
import { type PreparedModel, prepareModel } from '../cli/bench/inputs.ts';
import { blocksOf, metricsOf } from '../cli/bench/report.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data/flags.ts';
import { summarize } from '../cli/models.ts';
import { checkSizeNames } from '../cli/sizes.ts';
import type { XformError } from '../errors/error.ts';
import { conditionMet, slowerThanBaseline } from '../errors/limit.ts';
import { badFlagValue } from '../errors/usage.ts';
import { type Condition, firstTrue, parseCondition } from '../report/condition.ts';
import type { Json, Outcome } from '../report/report.ts';
import { type BenchResult, bench } from '../runtime/bench.ts';
import { resolveProvider } from '../runtime/provider.ts';

export default class Bench extends BaseCommand<typeof Bench> {
  static override summary = 'Measure latency, throughput, memory and load time, side by side';
  static override strict = false;
  static override examples = [
    '<%= config.bin %> bench model.onnx --batch 1,8 --threads 1,2',
    '<%= config.bin %> bench before.onnx after.onnx --profile',
    "<%= config.bin %> bench model.onnx --fail-if 'latency_ms.p50>10' --report bench.md",
  ];
  static override args = {
    model: Args.string({
      description: 'one or more .onnx files',
      required: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    ...dataFlags,
    runs: Flags.integer({ summary: 'runs that count (default: 4 seconds of them)', min: 1 }),
    warmup: Flags.integer({ summary: 'runs before (default: until stable)', min: 0 }),
    batch: Flags.string({ summary: 'batch sizes, as in 1,8', helpValue: 'N,…' }),
    threads: Flags.string({ summary: 'thread counts, as in 1,2', helpValue: 'N,…' }),
    profile: Flags.boolean({ summary: 'time by operator and by node' }),
    'fail-if': Flags.string({
      summary: "exit with 4 when this holds, as in 'latency_ms.p50>10' or 'ratio>1.1'",
      helpValue: 'CONDITION',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
    baseline: Flags.string({
      summary: 'what to compare with; exit with 4 when a model is slower',
      helpValue: 'MODEL',
    }),
  };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    const conditions = flags['fail-if'].map((text) => parseCondition('fail-if', text));
    const models = this.#models();
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    const step = this.reporter.step('Measuring', 100);
    let shown = 0;
    const results = await bench(models, {
      provider,
      device,
      seed: flags.seed,
      batches: numberList('batch', flags.batch) ?? [1],
      threads: numberList('threads', flags.threads) ?? [],
      profile: flags.profile || provider !== 'cpu',
      runs: flags.runs,
      warmup: flags.warmup,
      onProgress: (fraction) => {
        step.advance(Math.round(fraction * 100) - shown);
        shown = Math.round(fraction * 100);
      },
    });
    step.done();
    const metrics = new Map(results.map((result) => [result.name, metricsOf(result, provider)]));
    const unmet =
      firstUnmet(conditions, metrics, flags.baseline) ??
      (conditions.length === 0 && flags.baseline ? slower(results) : undefined);
    const [only] = metrics.values();
    return {
      input: models.map(({ model, path }) => summarize(model, path)),
      metrics: metrics.size === 1 && only ? only : Object.fromEntries(metrics),
      warnings: [
        ...models.flatMap(({ warnings }) => warnings),
        ...(note ? [{ code: 'provider', message: note }] : []),
      ],
      blocks: blocksOf(results, provider, flags.profile),
      ...(unmet ? { unmet } : {}),
    };
  }

  /** The baseline first; a path that is given twice keeps its runs apart. */
  #models(): PreparedModel[] {
    const { baseline, batch, data } = this.flags;
    const paths = [...(baseline ? [baseline] : []), ...this.words];
    const input = {
      sizes: this.sizes,
      data,
      dataOptions: dataOptionsFrom(this.flags),
      batchGiven: batch !== undefined,
    };
    const models = paths.map((path, i) => {
      const before = paths.slice(0, i).filter((other) => other === path).length;
      return prepareModel(before > 0 ? `${path} (${before + 1})` : path, path, input);
    });
    checkSizeNames(this.sizes, new Set(models.flatMap(({ dims }) => [...dims])));
    return models;
  }
}

function firstUnmet(
  conditions: readonly Condition[],
  metrics: ReadonlyMap<string, Json>,
  baseline: string | undefined,
): XformError | undefined {
  const judged = new Map([...metrics].filter(([name]) => name !== baseline));
  for (const condition of conditions) {
    const found = firstTrue(condition, judged);
    if (found) return conditionMet(condition.text, found.facts, found.name);
  }
  return undefined;
}

function slower(results: readonly BenchResult[]): XformError | undefined {
  const [baseline, ...rest] = results;
  for (const { name, points } of rest) {
    const found = points.find(({ comparison }) => comparison?.verdict === 'slower')?.comparison;
    if (found && baseline) {
      return slowerThanBaseline(name, baseline.name, found.ratio, [found.low, found.high]);
    }
  }
  return undefined;
}

/** `1,8` → [1, 8]. */
function numberList(flag: string, text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const numbers = text.split(',').map(Number);
  if (numbers.every((n) => Number.isInteger(n) && n > 0)) return [...new Set(numbers)];
  throw badFlagValue(flag, text, 'whole numbers above 0 with commas between, as in 1,8');
}
