// What `eval` says: one table that is the trade-off, the differences, the details of the task.

import type { Comparison } from '../metrics/bootstrap.ts';
import { modelCost } from '../ops/cost.ts';
import {
  type Block,
  type Cell,
  formatBytes,
  formatCount,
  type Json,
  type Table,
} from '../report/report.ts';
import type { BenchResult } from '../runtime/bench.ts';
import type { Judged } from './eval-run.ts';
import { modelBytes } from './models.ts';

export type Intervals = Readonly<Record<string, readonly [low: number, high: number]>>;
export type Comparisons = Readonly<Record<string, Comparison>>;

/** One row of the table. */
export interface EvalRow {
  readonly judged: Judged;
  readonly values: Readonly<Record<string, number>>;
  readonly intervals: Intervals;
  /** Against the baseline; undefined for itself. */
  readonly comparisons: Comparisons | undefined;
  readonly bench: BenchResult | undefined;
  readonly macs: number | undefined;
}

/** The metrics of one model for machines. */
export function evalMetrics(row: EvalRow): Record<string, Json> {
  const { judged, bench } = row;
  const { details } = judged.evaluation;
  return {
    task: judged.task.name,
    samples: judged.evaluation.count,
    ...row.values,
    intervals: row.intervals as Json,
    ...(row.comparisons ? { against_baseline: row.comparisons as unknown as Json } : {}),
    ...(details ? { details: details() as Json } : {}),
    bytes: modelBytes(judged.path),
    parameters: modelCost(judged.model).parameters,
    ...(row.macs === undefined ? {} : { flops: 2 * row.macs }),
    ...(bench
      ? {
          latency_ms: { ...(bench.points[0]?.latency ?? {}) },
          peak_rss_bytes: bench.usage.peakBytes,
          load_ms: bench.loadMs,
        }
      : {}),
  };
}

export function evalBlocks(rows: readonly EvalRow[]): Block[] {
  const [first] = rows;
  if (!first) return [];
  const { task, dataset, evaluation } = first.judged;
  const facts: [string, Cell][] = [
    ['task', task.name],
    ['data', dataset.summary],
    ['samples', evaluation.count],
  ];
  return [{ facts }, tradeOff(rows), ...differences(rows)];
}

function shownMetrics(rows: readonly EvalRow[]): string[] {
  const found = new Set(rows.flatMap(({ values }) => Object.keys(values)));
  return (rows[0]?.judged.task.shown ?? []).filter((name) => found.has(name));
}

function tradeOff(rows: readonly EvalRow[]): Table {
  const names = shownMetrics(rows);
  const right = (name: string) => ({ name, align: 'right' as const });
  const timed = rows.some(({ bench }) => bench);
  const cell = (row: EvalRow, name: string, isMain: boolean): Cell => {
    const value = row.values[name];
    if (value === undefined) return '';
    const interval = isMain ? row.intervals[name] : undefined;
    return interval
      ? `${fixed(value)} (${fixed(interval[0])} … ${fixed(interval[1])})`
      : fixed(value);
  };
  return {
    title: 'Models (95 % interval of the first metric)',
    columns: [
      { name: 'model' },
      ...names.map(right),
      ...(timed ? [right('p50 ms'), right('peak memory')] : []),
      ...['file', 'parameters', 'FLOPs'].map(right),
    ],
    rows: rows.map((row) => [
      row.judged.path,
      ...names.map((name, i) => cell(row, name, i === 0)),
      ...(timed ? timing(row) : []),
      formatBytes(modelBytes(row.judged.path)),
      formatCount(modelCost(row.judged.model).parameters),
      row.macs === undefined ? '' : formatCount(2 * row.macs),
    ]),
  };
}

function timing({ bench }: EvalRow): Cell[] {
  const p50 = bench?.points[0]?.latency.p50;
  return bench ? [fixed(p50 ?? 0), formatBytes(bench.usage.peakBytes)] : ['', ''];
}

function differences(rows: readonly EvalRow[]): Table[] {
  const names = shownMetrics(rows);
  const [baseline] = rows;
  const others = rows.filter(({ comparisons }) => comparisons);
  if (!baseline || others.length === 0) return [];
  return [
    {
      title: `Against ${baseline.judged.path}, sample by sample (95 % interval)`,
      columns: [
        { name: 'model' },
        { name: 'metric' },
        { name: 'difference', align: 'right' },
        { name: 'interval', align: 'right' },
        { name: 'p', align: 'right' },
        { name: 'verdict' },
      ],
      rows: others.flatMap((row) =>
        names.flatMap((name) => {
          const found = row.comparisons?.[name];
          return found ? [differenceRow(row.judged.path, name, found)] : [];
        }),
      ),
    },
  ];
}

function differenceRow(path: string, name: string, found: Comparison): Cell[] {
  const { difference, low, high, pValue } = found;
  return [
    path,
    name,
    signed(difference),
    `${signed(low)} … ${signed(high)}`,
    pValue < 0.001 ? '<0.001' : pValue.toFixed(3),
    pValue < 0.05 ? (found.better ? 'better' : 'worse') : 'may be chance',
  ];
}

function fixed(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  return size >= 10 ? value.toFixed(2) : value.toFixed(4);
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : '-'}${fixed(Math.abs(value))}`;
}
