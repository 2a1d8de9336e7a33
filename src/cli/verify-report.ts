// What `verify` shows: the verdict, a row per output, and with --layers where the models part.

import type { Block, Cell, Warning } from '../report/report.ts';
import { formatNumber } from '../report/report.ts';
import type { LayerReport, LayerResult } from '../runtime/layers.ts';
import type { OutputResult, Verification } from '../runtime/verify.ts';
import type { Comparison, Tolerance } from '../tensor/compare.ts';

export interface VerifyRun {
  readonly a: string;
  readonly b: string;
  /** What the data was. */
  readonly data: string;
  readonly provider: string;
  readonly tolerance: Tolerance;
  readonly result: Verification;
  readonly layers: LayerReport | undefined;
}

const WORST_ROWS = 10;

export function verifyMetrics({ result, layers }: VerifyRun): object {
  const comparisons = result.outputs.map((output) => output.comparison);
  return {
    equal: result.equal,
    max_abs_error: Math.max(0, ...comparisons.map((c) => c.maxAbs)),
    cosine: Math.min(1, ...comparisons.map((c) => c.cosine)),
    samples: result.samples,
    batches: result.batches,
    outputs: result.outputs.map((output) => ({
      name: output.name,
      counterpart: output.counterpart,
      ...comparisonMetrics(output.comparison),
      ...(output.top1 === undefined ? {} : { top1_agreement: output.top1 }),
    })),
    missing_outputs: result.missing,
    extra_outputs: result.extra,
    ...(layers ? { layers: layerMetrics(layers) } : {}),
  };
}

function comparisonMetrics(c: Comparison): object {
  return {
    equal: c.equal,
    ...(c.problem ? { problem: c.problem } : {}),
    elements: c.elements,
    mismatched: c.mismatched,
    max_abs_error: c.maxAbs,
    mean_abs_error: c.meanAbs,
    max_rel_error: c.maxRel,
    rel_norm: c.relNorm,
    cosine: c.cosine,
    not_finite: c.nonFinite,
  };
}

function layerMetrics(layers: LayerReport): object {
  const row = ({ comparison, ...layer }: LayerResult) => ({
    ...layer,
    ...comparisonMetrics(comparison),
  });
  return {
    values: layers.total,
    matched_by_name: layers.byName,
    matched_by_position: layers.byPosition,
    first: layers.first ? row(layers.first) : null,
    rows: layers.layers.map(row),
  };
}

export function verifyBlocks(run: VerifyRun): Block[] {
  const { result, tolerance, layers } = run;
  const verdict = result.equal ? 'the same function, as far as seen' : 'not the same function';
  return [
    {
      facts: [
        ['verdict', verdict],
        ['data', run.data],
        ['compared', `${result.samples} samples in ${result.batches} batches on ${run.provider}`],
        ['tolerance', `|b - a| <= ${tolerance.atol} + ${tolerance.rtol} * |a|`],
      ],
    },
    table(
      'Outputs',
      result.outputs.map((output) => [output.name, ...outputCells(output)]),
    ),
    ...(layers ? layerBlocks(layers) : []),
  ];
}

const ERROR_COLUMNS = ['max abs', 'max rel', 'rel norm', 'cosine', 'differ'] as const;

function table(title: string, rows: Cell[][]): Block {
  const right = ERROR_COLUMNS.map((name) => ({ name, align: 'right' as const }));
  return { title, columns: [{ name: 'output' }, ...right, { name: '' }], rows };
}

function outputCells({ comparison, top1 }: OutputResult): Cell[] {
  const top = top1 === undefined ? '' : `, top 1 agrees in ${(100 * top1).toFixed(2)} %`;
  const problem = comparison.problem ? `: ${comparison.problem}` : '';
  return [...errorCells(comparison), `${comparison.equal ? 'equal' : 'differs'}${problem}${top}`];
}

function errorCells(c: Comparison): Cell[] {
  const share = c.elements === 0 ? 0 : (100 * c.mismatched) / c.elements;
  const differ = c.mismatched === 0 ? '0' : `${c.mismatched} (${formatNumber(share)} %)`;
  const measures: Cell[] = [c.maxAbs, c.maxRel, c.relNorm, c.cosine.toFixed(6)];
  return [...(Number.isNaN(c.cosine) ? measures.map(() => '-') : measures), differ];
}

function layerBlocks(layers: LayerReport): Block[] {
  const { first, total, byName, byPosition } = layers;
  const harmless = layers.layers.filter((layer) => !layer.comparison.equal && !layer.matters);
  const facts: [string, Cell][] = [
    ['inner values', `${total}, compared ${byName} by name and ${byPosition} by position`],
    ['first to differ', first ? `"${first.name}", ${first.node}` : 'none'],
  ];
  if (harmless.length > 0) {
    const text = `${harmless.length} values, but what follows from them agrees again`;
    facts.push(['also differ', text]);
  }
  const worst = layers.layers
    .filter((layer) => layer.comparison.maxAbs > 0 || !layer.comparison.equal)
    .sort((a, b) => severity(b) - severity(a))
    .sort((a, b) => Number(b.matters) - Number(a.matters))
    .slice(0, WORST_ROWS);
  const right = ERROR_COLUMNS.map((name) => ({ name, align: 'right' as const }));
  const columns = [{ name: 'value' }, ...right, { name: 'by' }, { name: 'operator' }, { name: '' }];
  const rows = worst.map((layer) => [
    layer.name === layer.counterpart ? layer.name : `${layer.name} = ${layer.counterpart}`,
    ...errorCells(layer.comparison),
    layer.by,
    layer.op,
    layer.matters ? 'reaches an output' : '',
  ]);
  return [{ title: 'Layers', facts }, ...(rows.length ? [{ title: 'Worst', columns, rows }] : [])];
}

/** NaN and infinities where there should be none come first, then the size of the error. */
function severity({ comparison: c }: LayerResult): number {
  return c.nonFinite > 0 ? Number.POSITIVE_INFINITY : c.relNorm;
}

/** Why the models are not the same, for the error. */
export function verifyReasons({ result }: VerifyRun): string[] {
  const differing = result.outputs.filter((output) => !output.comparison.equal);
  return [
    ...result.missing.map((name) => `output "${name}" is missing`),
    ...differing.slice(0, 3).map(({ name, comparison: c }) => {
      if (c.problem) return `output "${name}" has ${c.problem}`;
      const counts = `${c.mismatched} of ${c.elements} elements`;
      return `output "${name}" differs in ${counts}, by up to ${formatNumber(c.maxAbs)}`;
    }),
    ...(differing.length > 3 ? [`${differing.length - 3} more outputs differ`] : []),
  ];
}

export function verifyWarnings({ result, b }: VerifyRun, note: string | undefined): Warning[] {
  const warnings: Warning[] = note ? [{ code: 'provider', message: note }] : [];
  for (const name of result.extra) {
    warnings.push({ code: 'extra-output', message: `output "${name}" is only in "${b}"` });
  }
  for (const { name, comparison } of result.outputs) {
    const { agreedNonFinite, elements } = comparison;
    if (elements === 0) {
      warnings.push({
        code: 'empty-output',
        message: `output "${name}" has no elements to compare`,
      });
    }
    if (agreedNonFinite === 0) continue;
    const count = `${agreedNonFinite} of ${elements} elements`;
    const message = `output "${name}" is NaN or infinite in both models in ${count}`;
    warnings.push({ code: 'not-finite', message });
  }
  return warnings;
}
