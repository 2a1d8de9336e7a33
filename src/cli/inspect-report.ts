// What `inspect` shows: facts, tables, problems.

import type { Problem } from '../graph/index.ts';
import type { LayerRow } from '../inspect/layers.ts';
import { dimToJson, type Sparsity, type Summary } from '../inspect/summary.ts';
import type { ModelCost } from '../ops/cost.ts';
import { type Block, formatBytes, formatCount } from '../report/report.ts';

export function costMetrics(cost: ModelCost): object {
  return {
    macs: dimToJson(cost.macs),
    flops: typeof cost.macs === 'number' ? cost.macs * 2 : dimToJson(cost.macs),
    unknown_cost_nodes: cost.unknown,
    peak_activation_bytes: dimToJson(cost.peakActivationBytes),
    trainable_parameters: cost.trainable,
  };
}

export function overview(
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

export function ports(title: string, rows: Summary['inputs']): Block {
  return {
    title,
    columns: [{ name: 'name' }, { name: 'type' }],
    rows: rows.map((p) => [p.name, p.type]),
  };
}

export function operators(summary: Summary): Block {
  return {
    title: 'Operators',
    columns: [{ name: 'operator' }, { name: 'nodes', align: 'right' }],
    rows: summary.operators.map(({ op, count }) => [op, count]),
  };
}

export function precision(summary: Summary): Block {
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

export function layerTable(layers: readonly LayerRow[]): Block {
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

export function problemBlock(
  problems: readonly Problem[],
  sparsity: Sparsity | undefined,
): Block[] {
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
