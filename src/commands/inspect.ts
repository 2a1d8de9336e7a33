import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base.ts';
import { readInput, summarize } from '../cli/models.ts';
import { setSizes } from '../cli/sizes.ts';
import type { Problem } from '../graph/index.ts';
import { type LayerRow, layersOf } from '../inspect/layers.ts';
import { findProblems } from '../inspect/problems.ts';
import {
  dimToJson,
  measureSparsity,
  type Sparsity,
  type Summary,
  summarizeModel,
} from '../inspect/summary.ts';
import { type ModelCost, modelCost } from '../ops/cost.ts';
import { inferTypes } from '../ops/index.ts';
import { type Block, formatBytes, formatCount, type Outcome } from '../report/report.ts';

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

function costMetrics(cost: ModelCost): object {
  return {
    macs: dimToJson(cost.macs),
    flops: typeof cost.macs === 'number' ? cost.macs * 2 : dimToJson(cost.macs),
    unknown_cost_nodes: cost.unknown,
    peak_activation_bytes: dimToJson(cost.peakActivationBytes),
    trainable_parameters: cost.trainable,
  };
}

function overview(
  summary: Summary,
  cost: ModelCost,
  sparsity: Sparsity | undefined,
  bytes: number,
) {
  const { macs, peakActivationBytes: peak } = cost;
  const opsets = Object.entries(summary.opsets).map(([domain, version]) => `${domain} ${version}`);
  const zeros =
    sparsity && `${((100 * sparsity.zeros) / Math.max(1, sparsity.elements)).toFixed(1)} %`;
  const facts: [string, string][] = [
    ['made by', summary.producer || 'unknown'],
    ['format', `IR ${summary.irVersion}, opset ${opsets.join(', ')}`],
    ['file', formatBytes(bytes)],
    ['parameters', `${formatCount(cost.parameters)} (${cost.parameters.toLocaleString('en')})`],
    [
      'nodes',
      summary.subgraphs > 0
        ? `${summary.nodes} in ${summary.subgraphs + 1} graphs`
        : String(summary.nodes),
    ],
    [
      'work',
      typeof macs === 'number'
        ? `${formatCount(macs * 2)}FLOP (${formatCount(macs)}MAC)`
        : `${dimToJson(macs)} MAC`,
    ],
    [
      'activations',
      typeof peak === 'number'
        ? `${formatBytes(peak)} at the peak`
        : `${dimToJson(peak)} bytes at the peak`,
    ],
    ['zeros', zeros ?? 'not counted (--sparsity reads all weights)'],
  ];
  if (summary.functions > 0) facts.push(['functions', String(summary.functions)]);
  for (const [key, value] of Object.entries(summary.metadata))
    facts.push([`metadata ${key}`, value.slice(0, 80)]);
  return facts;
}

function ports(title: string, rows: Summary['inputs']): Block {
  return {
    title,
    columns: [{ name: 'name' }, { name: 'type' }],
    rows: rows.map((p) => [p.name, p.type]),
  };
}

function operators(summary: Summary): Block {
  return {
    title: 'Operators',
    columns: [{ name: 'operator' }, { name: 'nodes', align: 'right' }],
    rows: summary.operators.map(({ op, count }) => [op, count]),
  };
}

function precision(summary: Summary): Block {
  return {
    title: 'Weights by type',
    columns: [
      { name: 'type' },
      { name: 'tensors', align: 'right' },
      { name: 'elements', align: 'right' },
      { name: 'bytes', align: 'right' },
    ],
    rows: summary.precision.map((r) => [
      r.dtype,
      r.tensors,
      formatCount(r.elements),
      formatBytes(r.bytes),
    ]),
  };
}

function layerTable(layers: readonly LayerRow[]): Block {
  return {
    title: 'Layers',
    columns: [
      { name: 'node' },
      { name: 'operator' },
      { name: 'output' },
      { name: 'parameters', align: 'right' },
      { name: 'MAC', align: 'right' },
      { name: 'weights' },
    ],
    rows: layers.map((r) => [
      r.name,
      r.op,
      r.output,
      r.parameters ? formatCount(r.parameters) : '',
      typeof r.macs === 'number' ? formatCount(r.macs) : String(dimToJson(r.macs)),
      r.weightTypes.join(', '),
    ]),
  };
}

function problemBlock(problems: readonly Problem[], sparsity: Sparsity | undefined): Block[] {
  const all = problems.map((p) => (p.where ? `${p.where}: ${p.message}` : p.message));
  for (const name of sparsity?.notFinite ?? [])
    all.push(`initializer "${name}" holds NaN or infinity`);
  if (all.length === 0) return [{ text: 'No problems found.' }];
  return [
    {
      title: 'Problems',
      columns: [{ name: 'what to know before shipping' }],
      rows: all.map((text) => [text]),
    },
  ];
}
