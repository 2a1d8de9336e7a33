// The results of `bench` as metrics for machines and tables for people.

import type { Block, Json, Table } from '../../report/report.ts';
import { formatBytes, formatCount } from '../../report/report.ts';
import type { BenchResult, Point } from '../../runtime/bench.ts';
import type { Provider } from '../../runtime/options.ts';
import { executionProvider } from '../../runtime/provider.ts';

/** Rows of nodes in the profile for people; the JSON has more. */
const SHOWN_NODES = 10;
const KEPT_NODES = 200;

/** The metrics of one model, units in the keys. */
export function metricsOf(result: BenchResult, provider: Provider): Record<string, Json> {
  const [main, ...others] = result.points;
  const { usage, profile } = result;
  return {
    provider,
    ...(main ? pointMetrics(main) : {}),
    load_ms: result.loadMs,
    first_run_ms: result.firstRunMs,
    peak_rss_bytes: usage.peakBytes,
    model_rss_bytes: Math.max(0, usage.peakBytes - usage.idleBytes),
    ...(others.length > 0 ? { sweep: result.points.map(pointMetrics) } : {}),
    ...(profile ? { profile: profileMetrics(result, provider) } : {}),
  };
}

function pointMetrics(point: Point): Record<string, Json> {
  const { comparison } = point;
  return {
    batch: point.batch,
    threads: point.threads,
    latency_ms: { ...point.latency },
    throughput_per_s: point.throughput,
    warmup_runs: point.warmupRuns,
    ...(point.flops === undefined ? {} : { flops_per_s: point.flops }),
    ...(comparison
      ? {
          ratio: comparison.ratio,
          ratio_low: comparison.low,
          ratio_high: comparison.high,
          verdict: comparison.verdict,
        }
      : {}),
  };
}

function profileMetrics({ profile }: BenchResult, provider: Provider): Json {
  const row = <T extends { readonly ms: number; readonly share: number }>(entry: T) => {
    const { ms, ...rest } = entry;
    return { ...rest, latency_ms: ms };
  };
  const elsewhere = provider === 'cpu' ? [] : cpuRows(profile);
  return {
    nodes_ms: profile?.ms ?? 0,
    operators: (profile?.ops ?? []).map(row),
    providers: (profile?.providers ?? []).map(row),
    nodes: (profile?.nodes ?? []).slice(0, KEPT_NODES).map(row),
    ...(provider === 'cpu'
      ? {}
      : {
          cpu_nodes: elsewhere.length,
          cpu_share: elsewhere.reduce((sum, { share }) => sum + share, 0),
        }),
  };
}

function cpuRows(profile: BenchResult['profile']) {
  return (profile?.nodes ?? []).filter((node) => node.provider === executionProvider('cpu'));
}

/** Tables and facts, in the order a person wants them. */
export function blocksOf(
  results: readonly BenchResult[],
  provider: Provider,
  shown: boolean,
): Block[] {
  return [
    latencyTable(results, provider),
    usageTable(results),
    ...comparisons(results),
    ...(provider === 'cpu' ? [] : results.map((result) => fallback(result, provider))),
    ...(shown ? results.flatMap(profileTables) : []),
  ];
}

function latencyTable(results: readonly BenchResult[], provider: Provider): Table {
  const right = (name: string) => ({ name, align: 'right' as const });
  return {
    title: `Latency in ms on ${provider}`,
    columns: [
      { name: 'model' },
      ...['batch', 'threads', 'p50', '95 % interval', 'p90', 'p99', 'min', 'mean', 'runs'].map(
        right,
      ),
      right('samples/s'),
      right('FLOP/s'),
    ],
    rows: results.flatMap(({ name, points }) =>
      points.map(({ batch, threads, latency, throughput, flops }) => [
        name,
        batch,
        threads,
        latency.p50,
        `${short(latency.p50_low)} … ${short(latency.p50_high)}`,
        latency.p90,
        latency.p99,
        latency.min,
        latency.mean,
        latency.runs,
        formatCount(throughput),
        flops === undefined ? '' : formatCount(flops),
      ]),
    ),
  };
}

function usageTable(results: readonly BenchResult[]): Table {
  const right = (name: string) => ({ name, align: 'right' as const });
  return {
    title: 'Start and memory, each in a process of its own',
    columns: [
      { name: 'model' },
      right('load ms'),
      right('first run ms'),
      right('peak memory'),
      right('of it the model'),
    ],
    rows: results.map(({ name, loadMs, firstRunMs, usage }) => [
      name,
      loadMs,
      firstRunMs,
      formatBytes(usage.peakBytes),
      formatBytes(Math.max(0, usage.peakBytes - usage.idleBytes)),
    ]),
  };
}

function comparisons(results: readonly BenchResult[]): Block[] {
  const [reference, ...rest] = results;
  if (!reference || rest.length === 0) return [];
  const right = (name: string) => ({ name, align: 'right' as const });
  return [
    {
      title: `Time against ${reference.name}`,
      columns: [
        { name: 'model' },
        right('batch'),
        right('threads'),
        right('ratio'),
        right('95 % interval'),
        { name: 'verdict' },
      ],
      rows: rest.flatMap(({ name, points }) =>
        points.flatMap(({ batch, threads, comparison }) =>
          comparison
            ? [
                [
                  name,
                  batch,
                  threads,
                  comparison.ratio.toFixed(3),
                  `${comparison.low.toFixed(3)} … ${comparison.high.toFixed(3)}`,
                  comparison.verdict,
                ],
              ]
            : [],
        ),
      ),
    },
  ];
}

/** Nodes that the asked-for provider left to the CPU. */
function fallback({ name, profile }: BenchResult, provider: Provider): Block {
  const rows = cpuRows(profile);
  if (rows.length === 0) return { text: `${name}: every node ran on ${provider}.` };
  const share = rows.reduce((sum, row) => sum + row.share, 0);
  const ops = [...new Set(rows.map((row) => row.op))].join(', ');
  return {
    text: `${name}: ${rows.length} nodes ran on the CPU and took ${percent(share)} of the time: ${ops}.`,
  };
}

function profileTables({ name, profile }: BenchResult): Block[] {
  if (!profile) return [];
  const right = (title: string) => ({ name: title, align: 'right' as const });
  return [
    {
      title: `${name}: time by operator (${short(profile.ms)} ms a run inside nodes)`,
      columns: [{ name: 'operator' }, right('nodes'), right('ms'), right('share')],
      rows: profile.ops.map(({ op, nodes, ms, share }) => [op, nodes, ms, percent(share)]),
    },
    {
      title: `${name}: slowest nodes`,
      columns: [
        { name: 'node' },
        { name: 'operator' },
        { name: 'provider' },
        right('ms'),
        right('share'),
      ],
      rows: profile.nodes
        .slice(0, SHOWN_NODES)
        .map((node) => [
          node.name,
          node.op,
          node.provider.replace('ExecutionProvider', ''),
          node.ms,
          percent(node.share),
        ]),
    },
  ];
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
