import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base.ts';
import { classWarning } from '../../cli/class-warning.ts';
import { attempt, classCount, fitData, targetProblems } from '../../cli/data/fit.ts';
import { dataFlags, dataOptionsFrom } from '../../cli/data/flags.ts';
import { type DataFindings, dataBlocks, dataMetrics } from '../../cli/data/report.ts';
import { type Survey, survey } from '../../cli/data/survey.ts';
import { readSound, summarize } from '../../cli/models.ts';
import { setSizes } from '../../cli/sizes.ts';
import type { Dataset } from '../../data/dataset.ts';
import { kindOf, openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import { badSamples, dataDoesNotFit } from '../../errors/data.ts';
import { XformError } from '../../errors/error.ts';
import type { Model } from '../../graph/index.ts';
import type { Outcome } from '../../report/report.ts';

const { data: _, ...flags } = dataFlags;

export default class DataInspect extends BaseCommand<typeof DataInspect> {
  static override summary = 'Show what data is taken for, and what of it does not fit a model';
  static override description =
    'Samples, shapes, types, ranges, classes, the first few samples, what was applied, files that are ' +
    'broken. With a model, samples are shown as it is fed with them. Exit code 3 where something is broken ' +
    '(unless --skip-bad) or does not fit.';
  static override examples = [
    '<%= config.bin %> data inspect photos --resize 256 --crop 224',
    '<%= config.bin %> data inspect reviews.csv --text review --label stars --tokenizer tokenizer.json',
    '<%= config.bin %> data inspect test.npz model.onnx',
  ];
  static override args = {
    data: Args.string({ description: 'what --data of other commands takes', required: true }),
    model: Args.string({ description: 'an .onnx file', ignoreStdin: true }),
  };
  static override flags = flags;

  protected override async work(): Promise<Outcome> {
    const { data } = this.args;
    // All that is broken is to be named, not only the first.
    const options = { ...dataOptionsFrom(this.flags), skipBad: true, onSkipped: undefined };
    const model = this.args.model === undefined ? undefined : readSound(this.args.model);
    if (model) setSizes(model, this.sizes);
    const { dataset, survey: found, problems } = await this.#look(data, options, model);
    const kind = kindOf(data, options);
    const findings: DataFindings = {
      kind,
      summary: dataset.summary,
      survey: found,
      bad: dataset.bad,
      problems,
    };
    const unmet = this.#unmet(findings);
    return {
      ...(model ? { input: summarize(model, this.args.model ?? '') } : {}),
      metrics: dataMetrics(findings),
      warnings:
        model && !problems?.length ? classWarning(dataset.classes, classCount(model), data) : [],
      blocks: dataBlocks(findings),
      ...(unmet ? { unmet } : {}),
    };
  }

  /** As the model is fed with it; where it does not fit, as it is. */
  async #look(data: string, options: DataOptions, model: Model | undefined): Promise<Look> {
    const step = this.reporter.step(`looking at ${data}`);
    try {
      const problems: XformError[] = [];
      if (model) {
        const fit = await fitData(data, model, this.args.model ?? '', options);
        problems.push(...fit.problems);
        const { dataset } = fit;
        const found = dataset && (await attempt(() => survey(dataset)));
        if (found instanceof XformError) problems.push(found);
        else if (dataset && found) {
          return { dataset, survey: found, problems: targetProblems(model, found) };
        }
      }
      const own = await attempt(() => openDataset(data, undefined, options));
      const [first] = problems;
      if (own instanceof XformError) throw first ?? own;
      return { dataset: own, survey: await survey(own), problems: model ? problems : undefined };
    } finally {
      step.done();
    }
  }

  #unmet({ bad, problems }: DataFindings): XformError | undefined {
    const { data, model = '' } = this.args;
    const [first] = problems ?? [];
    if (first) return dataDoesNotFit(data, model, first.message, problems?.length ?? 1);
    if (this.flags['skip-bad'] || !bad?.count) return undefined;
    return badSamples(data, bad.count, bad.kept[0]?.where ?? '');
  }
}

interface Look {
  readonly dataset: Dataset;
  readonly survey: Survey;
  readonly problems: readonly XformError[] | undefined;
}
