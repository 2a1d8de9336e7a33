import { writeFileSync } from 'node:fs';
import { Args } from '@oclif/core';
import { BaseCommand, threadsFlag } from '../cli/base.ts';
import { prepareModel } from '../cli/bench/inputs.ts';
import { classWarning } from '../cli/class-warning.ts';
import { dataFlags, dataOptionsFrom } from '../cli/data/flags.ts';
import { evalFlags, taskOptionsFrom } from '../cli/eval/flags.ts';
import { type EvalRow, evalBlocks, evalMetrics } from '../cli/eval/report.ts';
import { type EvalInput, type Judged, judgeModel } from '../cli/eval/run.ts';
import { parseDrop } from '../cli/limits.ts';
import { summarize } from '../cli/models.ts';
import { checkSizeNames, setKnownSizes } from '../cli/sizes.ts';
import type { XformError } from '../errors/error.ts';
import { noSuchMetric, worseThanBaseline } from '../errors/eval.ts';
import { usageProblem } from '../errors/usage.ts';
import { compare, intervals } from '../metrics/bootstrap.ts';
import { directionOf } from '../metrics/directions.ts';
import type { Outcome, Warning } from '../report/report.ts';
import { type BenchResult, bench } from '../runtime/bench.ts';
import { resolveProvider } from '../runtime/provider.ts';

/** Samples of a batch where nothing else is said: more of them would only take more memory. */
const BATCH = 16;

export default class Eval extends BaseCommand<typeof Eval> {
  static override summary = 'Judge models on their task, side by side';
  static override description =
    'Metrics with 95 % bootstrap intervals; differences to the first model (or --baseline) sample by ' +
    'sample, so that a loss can be told from chance; latency, memory, size and FLOPs beside them.';
  static override strict = false;
  static override examples = [
    '<%= config.bin %> eval model.onnx --data photos --resize 256 --crop 224',
    '<%= config.bin %> eval model.onnx model.int8.onnx --data test.npz --max-drop 0.01',
    '<%= config.bin %> eval t5.onnx --task translate --data val.en,val.de --tokenizer tokenizer.json --beams 4',
    '<%= config.bin %> eval yolox.onnx --data instances.json --images val2017 --channels bgr --scale 255',
  ];
  static override args = {
    model: Args.string({
      description: 'one or more .onnx files',
      required: true,
      ignoreStdin: true,
    }),
  };
  static override flags = { ...evalFlags, ...dataFlags, threads: threadsFlag };

  protected override async work(): Promise<Outcome> {
    const { flags } = this;
    const limit = parseDrop(flags['max-drop']);
    const { baseline } = flags;
    const paths = [
      ...(baseline ? [baseline] : []),
      ...this.words.filter((path) => path !== baseline),
    ];
    if (paths.includes('-')) throw usageProblem('eval reads models from files');
    if (limit !== undefined && paths.length < 2) {
      throw usageProblem('--max-drop compares with a baseline', 'Give it with --baseline MODEL.');
    }
    const { predictions } = flags;
    if (predictions !== undefined && paths.length > 1) {
      throw usageProblem('--predictions keeps the texts of one model, and there are several');
    }
    const { provider, device, note } = await resolveProvider(flags.provider, flags.device);
    const input = this.#input({ provider, device });
    const judged: Judged[] = [];
    const dims = new Set<string>();
    for (const path of paths) {
      const found = await judgeModel(path, { ...input, task: judged[0]?.task.name ?? flags.task });
      for (const dim of setKnownSizes(found.model, this.sizes)) dims.add(dim);
      judged.push(found);
    }
    checkSizeNames(this.sizes, dims);
    if (predictions !== undefined) writePredictions(predictions, judged[0]);
    const rows = await this.#rows(judged, await this.#bench(judged, { provider, device }));
    const metrics = rows.map((row) => [row.judged.path, evalMetrics(row)] as const);
    this.#checkMetric(rows[0]);
    const unmet = limit === undefined ? undefined : this.#unmet(rows, limit);
    return {
      input: judged.map(({ model, path }) => summarize(model, path)),
      metrics: metrics.length === 1 ? (metrics[0]?.[1] ?? {}) : Object.fromEntries(metrics),
      warnings: [
        ...(note ? [{ code: 'provider', message: note }] : []),
        ...this.#notTimed(judged),
        ...judged.flatMap(({ path, dataset, evaluation }) =>
          classWarning(dataset.classes, Math.sqrt(evaluation.confusion?.().length ?? 0), path),
        ),
      ],
      blocks: evalBlocks(rows),
      ...(unmet ? { unmet } : {}),
    };
  }

  #input(on: Pick<EvalInput['session'], 'provider' | 'device'>): EvalInput {
    const { flags, reporter, sizes } = this;
    if (flags.data === undefined) {
      throw usageProblem(
        'models are judged on data, and none was given',
        'Give it with --data PATH.',
      );
    }
    return {
      task: flags.task,
      data: flags.data,
      encoder: flags.encoder,
      dataOptions: dataOptionsFrom(flags),
      taskOptions: taskOptionsFrom(flags),
      sizes,
      batch: flags.batch ?? BATCH,
      session: { ...on, ...(flags.threads ? { threads: flags.threads } : {}) },
      reporter,
    };
  }

  async #rows(judged: readonly Judged[], timings: readonly Timing[]): Promise<EvalRow[]> {
    const { resamples, seed } = this.flags;
    const [first] = judged;
    return judged.map((one, i) => {
      const against = first && one !== first && resamples > 0;
      return {
        judged: one,
        values: one.evaluation.compute(),
        intervals: resamples > 0 ? intervals(one.evaluation, { resamples, seed }) : {},
        comparison: against
          ? compare(first.evaluation, one.evaluation, { resamples, seed })
          : undefined,
        bench: timings[i]?.result,
        macs: timings[i]?.macs,
      };
    });
  }

  /** Latency and memory at batch 1, on the first sample. */
  async #bench(
    judged: readonly Judged[],
    on: { provider: NonNullable<EvalInput['session']['provider']>; device: number },
  ): Promise<Timing[]> {
    const { flags } = this;
    const models = judged.map(({ path, timed }) => {
      const data = timed ? flags.data : undefined;
      const dataOptions = timed ?? dataOptionsFrom(flags);
      return prepareModel(path, path, { sizes: this.sizes, data, dataOptions, batchGiven: false });
    });
    const macs = models.map((model) => model.macs(1));
    const timed = models.filter((_, i) => judged[i]?.timed);
    if (!flags.bench || timed.length === 0) return macs.map((one) => ({ macs: one }));
    const results = await bench(timed, {
      ...on,
      seed: flags.seed,
      batches: [1],
      threads: flags.threads ? [flags.threads] : [],
      profile: false,
      runs: undefined,
      warmup: undefined,
      onProgress: () => {},
    });
    return models.map((model, i) => ({ result: results[timed.indexOf(model)], macs: macs[i] }));
  }

  #notTimed(judged: readonly Judged[]): Warning[] {
    if (!this.flags.bench) return [];
    return judged
      .filter(({ timed }) => !timed)
      .map(({ path }) => ({
        code: 'not-timed',
        message: 'the model takes more than the data has, so a single run was not timed',
        where: path,
      }));
  }

  #checkMetric(first: EvalRow | undefined): void {
    const { metric } = this.flags;
    const known = Object.keys(first?.values ?? {});
    if (metric !== undefined && !known.includes(metric)) throw noSuchMetric(metric, known);
  }

  #unmet(rows: readonly EvalRow[], limit: number): XformError | undefined {
    const [baseline, ...others] = rows;
    if (!baseline) return undefined;
    const metric = this.flags.metric ?? baseline.judged.task.main;
    const before = baseline.values[metric] ?? Number.NaN;
    const sign = directionOf(metric) === 'lower' ? -1 : 1;
    for (const { judged, values } of others) {
      const after = values[metric] ?? Number.NaN;
      if (sign * (before - after) <= limit) continue;
      return worseThanBaseline(judged.path, metric, [before, after], limit);
    }
    return undefined;
  }
}

interface Timing {
  readonly result?: BenchResult | undefined;
  readonly macs: number | undefined;
}

/** What the model wrote or answered, a line per sample. */
function writePredictions(path: string, judged: Judged | undefined): void {
  if (!judged?.texts) {
    throw usageProblem(
      `--predictions keeps texts, and there are none in task ${judged?.task.name}`,
      'Tasks with texts are translate and qa.',
    );
  }
  const lines = judged.texts.map((text) => `${text.replace(/\s*[\r\n]+\s*/g, ' ')}\n`);
  writeFileSync(path, lines.join(''));
}
