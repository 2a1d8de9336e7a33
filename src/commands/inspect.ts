import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base.ts';
import {
  costMetrics,
  layerTable,
  operators,
  overview,
  ports,
  precision,
  problemBlock,
} from '../cli/inspect-report.ts';
import { readInput, summarize } from '../cli/models.ts';
import { setSizes } from '../cli/sizes.ts';
import { layersOf } from '../inspect/layers.ts';
import { findProblems } from '../inspect/problems.ts';
import { dimToJson, measureSparsity, summarizeModel } from '../inspect/summary.ts';
import { modelCost } from '../ops/cost.ts';
import { inferTypes } from '../ops/index.ts';
import type { Outcome } from '../report/report.ts';

/** Beyond this, counting zeros takes longer than one waits for a first look. */
const SPARSITY_LIMIT_BYTES = 2 ** 31;

export default class Inspect extends BaseCommand<typeof Inspect> {
  static override summary = 'Show what a model is: interface, operators, size, work, problems';
  static override examples = [
    '<%= config.bin %> inspect model.onnx',
    '<%= config.bin %> inspect model.onnx --layers --set batch=1',
  ];
  static override args = {
    model: Args.string({
      description: 'an .onnx file, or - for standard input',
      required: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    layers: Flags.boolean({ summary: 'a row for every node' }),
    sparsity: Flags.boolean({ summary: 'count zeros in weights beyond 2 GB, too' }),
  };

  protected override async work(): Promise<Outcome> {
    const path = this.args.model;
    const model = readInput(path);
    setSizes(model, this.sizes);
    const typeProblems = inferTypes(model);
    const summary = summarizeModel(model);
    const cost = modelCost(model);
    const countZeros = this.flags.sparsity || summary.weightBytes <= SPARSITY_LIMIT_BYTES;
    const sparsity = countZeros ? await measureSparsity(model) : undefined;
    const problems = await findProblems(model, typeProblems);
    const layers = this.flags.layers ? layersOf(model) : [];
    return {
      input: summarize(model, path),
      metrics: {
        ...summary,
        ...costMetrics(cost),
        sparsity: sparsity ? sparsity.zeros / Math.max(1, sparsity.elements) : null,
        not_finite: sparsity?.notFinite ?? [],
        problems,
        ...(this.flags.layers
          ? { layers: layers.map((row) => ({ ...row, macs: dimToJson(row.macs) })) }
          : {}),
      },
      blocks: [
        { facts: overview(summary, cost, sparsity, summarize(model, path).bytes), title: path },
        ports('Inputs', summary.inputs),
        ports('Outputs', summary.outputs),
        operators(summary),
        precision(summary),
        ...(this.flags.layers ? [layerTable(layers)] : []),
        ...problemBlock(problems, sparsity),
      ],
    };
  }
}
