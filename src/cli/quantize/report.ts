// What `quantize` shows: sizes, how close and how fast the result is, what became of the layers.

import type { Sensitivity } from '../../passes/quantize/search.ts';
import { type Block, formatBytes, type ModelSummary, type Table } from '../../report/report.ts';
import type { Contest } from '../../runtime/contest.ts';
import { type Judge, type Quality, qualityMetrics } from '../judge.ts';
import type { Decision } from './quantizer.ts';
import type { WebTrial } from './web-trial.ts';

export interface Findings {
  readonly before: ModelSummary;
  readonly after: ModelSummary;
  readonly decisions: readonly Decision[];
  readonly judge?: Judge | undefined;
  readonly quality?: Quality | undefined;
  readonly speed?: Contest | undefined;
  readonly web?: WebTrial | undefined;
  readonly sensitivity: readonly Sensitivity[];
}

const SHOWN_LAYERS = 12;

export function quantizeBlocks(found: Findings): Block[] {
  const { after, decisions } = found;
  const blocks: Block[] = [comparison(found), precisions(decisions)];
  const left = decisions.filter(({ reason }) => reason !== undefined);
  if (left.length > 0) blocks.push(reasons(left));
  if (found.sensitivity.length > 0) blocks.push(sensitivities(found.sensitivity));
  const place = after.path === '-' ? 'standard output' : after.path;
  return [...blocks, { text: `Written to ${place}.` }];
}

function comparison({ before, after, judge, quality, speed, web }: Findings): Table {
  const rows: (string | number)[][] = [
    ['size', formatBytes(before.bytes), formatBytes(after.bytes), ratio(after.bytes, before.bytes)],
    ['nodes', before.nodes, after.nodes, ''],
    ['opset', before.opset, after.opset, ''],
  ];
  if (speed) {
    const { reference, contender, comparison: times } = speed;
    const verdict = `${(1 / times.ratio).toFixed(2)}x the speed (${times.verdict})`;
    rows.push(['median run', ms(reference.p50), ms(contender.p50), verdict]);
  }
  if (web) {
    const times = `${(web.beforeMs / web.afterMs).toFixed(2)}x the speed`;
    rows.push([web.runtime, ms(web.beforeMs), ms(web.afterMs), times]);
  }
  if (judge && quality) {
    if (judge.metric === 'accuracy') {
      const drop = percent(quality.score - judge.reference);
      rows.push(['accuracy', percent(judge.reference), percent(quality.score), drop]);
    }
    rows.push(['agreement', '', percent(quality.agreement), `${quality.samples} samples`]);
    rows.push(['cosine', '', quality.cosine.toFixed(6), `off by ${error(quality)} at most`]);
  }
  return {
    columns: [
      { name: '' },
      { name: 'before', align: 'right' },
      { name: 'after', align: 'right' },
      { name: '' },
    ],
    rows,
  };
}

const ms = (value: number) => `${value.toPrecision(3)} ms`;
const percent = (value: number) => `${(100 * value).toFixed(2)}%`;
const ratio = (a: number, b: number) => (b > 0 ? `${(a / b).toFixed(3)} of it` : '');
const error = ({ maxAbsError }: Quality) => maxAbsError.toPrecision(3);

/** Operators by what they became. */
function precisions(decisions: readonly Decision[]): Table {
  const counts = new Map<string, Map<string, number>>();
  for (const { op, precision } of decisions) {
    const row = counts.get(op) ?? new Map<string, number>();
    counts.set(op, row.set(precision, (row.get(precision) ?? 0) + 1));
  }
  const kinds = [...new Set(decisions.map(({ precision }) => precision))].sort();
  return {
    title: 'Layers by what they became',
    columns: [{ name: 'operator' }, ...kinds.map((name) => ({ name, align: 'right' as const }))],
    rows: [...counts].map(([op, row]) => [op, ...kinds.map((kind) => row.get(kind) ?? '')]),
  };
}

/** Equal reasons together. */
function reasons(left: readonly Decision[]): Table {
  const groups = new Map<string, Decision[]>();
  for (const decision of left) {
    const key = `${decision.op} ${decision.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), decision]);
  }
  return {
    title: 'Left as they were, or less than asked for',
    columns: [{ name: 'layers' }, { name: 'operator' }, { name: 'why' }],
    rows: [...groups.values()].map((group) => [
      names(group),
      group[0]?.op ?? '',
      group[0]?.reason ?? '',
    ]),
  };
}

function names(group: readonly Decision[]): string {
  const [first] = group;
  const rest = group.length - 1;
  return `${first?.layer ?? ''}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function sensitivities(list: readonly Sensitivity[]): Table {
  const worst = list.slice(0, SHOWN_LAYERS);
  return {
    title: `The ${worst.length} most sensitive of ${list.length} layers, each quantised alone`,
    columns: [{ name: 'layer' }, { name: 'fidelity', align: 'right' }],
    rows: worst.map(({ layer, score }) => [layer, score.toFixed(5)]),
  };
}

/** The figures of the report; units are in the names. */
export function quantizeMetrics(found: Findings): object {
  const { before, after, judge, quality, speed, decisions, web } = found;
  const counts: Record<string, number> = {};
  for (const { precision } of decisions) counts[precision] = (counts[precision] ?? 0) + 1;
  return {
    size_ratio: before.bytes > 0 ? after.bytes / before.bytes : undefined,
    layers: counts,
    ...(judge && quality ? qualityMetrics(judge, quality) : {}),
    ...(web
      ? {
          web: { runtime: web.runtime, latency_ms: { p50: web.afterMs, p50_before: web.beforeMs } },
        }
      : {}),
    ...(speed
      ? {
          latency_ms: { p50: speed.contender.p50, p50_before: speed.reference.p50 },
          latency_ratio: speed.comparison.ratio,
          verdict: speed.comparison.verdict,
        }
      : {}),
  };
}
