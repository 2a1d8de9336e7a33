// The time per operator and per node, from onnxruntime's trace file (Chrome trace events; node events
// end in "_kernel_time"). Nodes with bodies (If, Loop, Scan) contain the events of their bodies: what
// is counted is each node's own time.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

interface TraceEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly dur?: number;
  readonly ts?: number;
  readonly tid?: number;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

export interface NodeTime {
  readonly name: string;
  readonly op: string;
  /** `CPUExecutionProvider` … */
  readonly provider: string;
  readonly ms: number;
  /** Fraction of the time of all nodes. */
  readonly share: number;
}

export interface OpTime {
  readonly op: string;
  readonly nodes: number;
  readonly ms: number;
  readonly share: number;
}

export interface ProviderTime {
  readonly provider: string;
  readonly nodes: number;
  readonly ms: number;
  readonly share: number;
}

export interface Profile {
  /** Per run, slowest first. */
  readonly nodes: readonly NodeTime[];
  readonly ops: readonly OpTime[];
  readonly providers: readonly ProviderTime[];
  /** Time inside all nodes in one run; the rest of the latency is the runtime's own. */
  readonly ms: number;
}

/** Reads the trace that a session with `profilePrefix` has written; the first runs do not count. */
export function readTrace(prefix: string, warmup: number): Profile {
  const file = readdirSync(dirname(prefix)).find(
    (name) => name.startsWith(`${basename(prefix)}_`) && name.endsWith('.json'),
  );
  const text = file === undefined ? '[]' : readFileSync(join(dirname(prefix), file), 'utf8');
  return summarizeTrace(JSON.parse(text) as TraceEvent[], warmup);
}

export function summarizeTrace(events: readonly TraceEvent[], warmup = 0): Profile {
  const starts = events.filter((event) => event.name === 'model_run').map(startOf);
  const from = starts.sort((a, b) => a - b)[warmup] ?? 0;
  const runs = Math.max(1, starts.length - warmup);
  const counted = events.filter((event) => isKernel(event) && startOf(event) >= from);
  const nodes = new Map<string, { name: string; op: string; provider: string; us: number }>();
  for (const { event, us } of ownTimes(counted)) {
    const name = (event.name ?? '').replace(/_kernel_time$/, '');
    const { op_name: op = '?', provider = '?' } = event.args ?? {};
    const key = `${provider} ${op} ${name}`;
    const row = nodes.get(key) ?? { name, op, provider, us: 0 };
    row.us += us;
    nodes.set(key, row);
  }
  const rows = [...nodes.values()];
  const total = rows.reduce((sum, row) => sum + row.us, 0);
  const timed = (us: number) => ({ ms: us / 1000 / runs, share: total > 0 ? us / total : 0 });
  return {
    nodes: bySlowest(rows.map(({ us, ...row }) => ({ ...row, ...timed(us) }))),
    ops: bySlowest(
      [...grouped(rows, (row) => row.op)].map(([op, list]) => ({
        op,
        nodes: list.length,
        ...timed(sumOf(list)),
      })),
    ),
    providers: bySlowest(
      [...grouped(rows, (row) => row.provider)].map(([provider, list]) => ({
        provider,
        nodes: list.length,
        ...timed(sumOf(list)),
      })),
    ),
    ms: total / 1000 / runs,
  };
}

function startOf(event: TraceEvent): number {
  return event.ts ?? 0;
}

function isKernel(event: TraceEvent): boolean {
  return event.cat === 'Node' && (event.name ?? '').endsWith('_kernel_time');
}

/** Durations without those of the events inside; on each thread, events nest. */
function ownTimes(events: readonly TraceEvent[]): { event: TraceEvent; us: number }[] {
  const ordered = events.map((event) => ({
    event,
    start: startOf(event),
    end: startOf(event) + (event.dur ?? 0),
    us: event.dur ?? 0,
  }));
  // Of two that start together, the longer one is outside.
  ordered.sort((a, b) => a.start - b.start || b.end - a.end);
  const open = new Map<number, (typeof ordered)[number][]>();
  for (const entry of ordered) {
    const thread = entry.event.tid ?? 0;
    const stack = open.get(thread) ?? [];
    open.set(thread, stack);
    while (stack.length > 0 && (stack.at(-1)?.end ?? 0) < entry.end) stack.pop();
    const outer = stack.at(-1);
    if (outer && entry.start < outer.end) outer.us = Math.max(0, outer.us - (entry.event.dur ?? 0));
    stack.push(entry);
  }
  return ordered;
}

function grouped<T>(rows: readonly T[], key: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
}

function sumOf(rows: readonly { readonly us: number }[]): number {
  return rows.reduce((sum, row) => sum + row.us, 0);
}

function bySlowest<T extends { readonly ms: number }>(rows: T[]): T[] {
  return rows.sort((a, b) => b.ms - a.ms);
}
