// What `eval` says: one table that is the trade-off, the differences, the details of the task.

import { basename } from 'node:path';
import type { Comparison, Difference, Interval } from '../../metrics/bootstrap.ts';
import { modelCost } from '../../ops/cost.ts';
import {
  type Block,
  type Cell,
  formatBytes,
  formatCount,
  type Json,
  type Table,
} from '../../report/report.ts';
import type { BenchResult } from '../../runtime/bench.ts';
import { modelBytes } from '../models.ts';
import type { Judged } from './run.ts';

/** One row of the table. */
export interface EvalRow {
  readonly judged: Judged;
  readonly values: Readonly<Record<string, number>>;
  readonly intervals: Readonly<Record<string, Interval>>;
  /** Against the baseline; undefined for itself. */
  readonly comparison: Comparison | undefined;
  readonly bench: BenchResult | undefined;
  readonly macs: number | undefined;
}

/** The metrics of one model for machines. */
export function evalMetrics(row: EvalRow): Record<string, Json> {
  const { judged, bench } = row;
  const confusion = judged.evaluation.confusion?.();
  return {
    task: judged.task.name,
    samples: judged.evaluation.count,
    ...row.values,
    intervals: row.intervals as unknown as Json,
    ...(row.comparison ? { against_baseline: row.comparison as unknown as Json } : {}),
    ...(judged.evaluation.perClass ? { per_class: classRows(judged) } : {}),
    ...(confusion ? { confusion: [...confusion] } : {}),
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

/** The file alone, where no other model is called so. */
function nameIn(rows: readonly EvalRow[], { judged: { path } }: EvalRow): string {
  const name = basename(path);
  return rows.filter(({ judged }) => basename(judged.path) === name).length > 1 ? path : name;
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
      ? `${fixed(value)} (${fixed(interval.low)} … ${fixed(interval.high)})`
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
      nameIn(rows, row),
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
  const others = rows.filter(({ comparison }) => comparison);
  if (!baseline || others.length === 0) return [];
  return [
    {
      title: `Against ${nameIn(rows, baseline)}, sample by sample (95 % interval)`,
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
          const found = row.comparison?.differences[name];
          return found ? [[nameIn(rows, row), ...differenceCells(name, found)]] : [];
        }),
      ),
    },
  ];
}

function differenceCells(name: string, found: Difference): Cell[] {
  const { difference, low, high, p, verdict } = found;
  const isSame = difference === 0 && low === 0 && high === 0;
  return [
    name,
    signed(difference),
    `${signed(low)} … ${signed(high)}`,
    p < 0.001 ? '<0.001' : p.toFixed(3),
    isSame ? 'the same' : verdict === 'unclear' ? 'may be chance' : verdict,
  ];
}

/** Metrics by the name of the class, where the data has names. */
function classRows({ dataset, evaluation }: Judged): Json {
  const rows = evaluation.perClass?.() ?? [];
  return rows.map((row) => {
    const name = dataset.classes?.[row.class];
    return { class: row.class, ...(name === undefined ? {} : { name }), ...row.metrics };
  });
}

function fixed(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  if (size > 0 && size < 0.001) return String(Number(value.toPrecision(2)));
  return size >= 10 ? value.toFixed(2) : value.toFixed(4);
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : '-'}${fixed(Math.abs(value))}`;
}
