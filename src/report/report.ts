// The report of a run: one JSON document, and the blocks a person reads.

import type { XformError } from '../errors/error.ts';

export interface ModelSummary {
  readonly path: string;
  readonly bytes: number;
  readonly parameters: number;
  readonly nodes: number;
  readonly opset: number;
}

export interface Warning {
  /** Stable, kebab-case. */
  readonly code: string;
  readonly message: string;
  readonly where?: string;
}

/** Plain JSON; units are named in the keys (`latency_ms`, `peak_rss_bytes`). */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

export interface Report {
  readonly command: string;
  readonly version: string;
  readonly input?: Json;
  readonly output?: Json;
  readonly options: Json;
  readonly metrics: Json;
  readonly steps: Json;
  readonly warnings: readonly Warning[];
  readonly seconds: number;
}

export interface Table {
  readonly title?: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface Column {
  readonly name: string;
  /** Numbers stand right. */
  readonly align?: 'left' | 'right';
}

export type Cell = string | number;

/** What a person reads: headings with facts, and tables. */
export type Block =
  | { readonly text: string }
  | { readonly facts: readonly (readonly [string, Cell])[]; readonly title?: string }
  | Table;

/** What a command hands back; the base command turns it into a report. */
export interface Outcome {
  readonly input?: ModelSummary | readonly ModelSummary[];
  readonly output?: ModelSummary;
  readonly metrics?: object;
  readonly steps?: readonly object[];
  readonly warnings?: readonly Warning[];
  readonly blocks: readonly Block[];
  /** A limit the user set that was not met: the report stands, the exit code is 4. */
  readonly unmet?: XformError;
}

/** `12.3 MB`, powers of 1000 as `ls --si` has them. */
export function formatBytes(bytes: number): string {
  return formatScaled(bytes, ['B', 'kB', 'MB', 'GB', 'TB']);
}

/** `25.6 M`. */
export function formatCount(count: number): string {
  return formatScaled(count, ['', 'k', 'M', 'G', 'T']).trim();
}

function formatScaled(value: number, units: readonly string[]): string {
  let scaled = value;
  let unit = 0;
  while (Math.abs(scaled) >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${scaled.toFixed(Number.isInteger(scaled) ? 0 : digits)} ${units[unit]}`;
}

/** Three significant digits, without an exponent where one is not needed. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  return size >= 0.001 ? String(Number(value.toPrecision(3))) : value.toExponential(2);
}
