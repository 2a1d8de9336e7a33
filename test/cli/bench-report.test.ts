import { expect, it } from '@jest/globals';
import { blocksOf, metricsOf } from '../../src/cli/bench/report.ts';
import type { BenchResult } from '../../src/runtime/bench.ts';
import { summarizeTrace } from '../../src/runtime/profile.ts';
import { describe } from '../../src/runtime/statistics.ts';

const event = (op: string, provider: string, ts: number, dur: number) => ({
  cat: 'Node',
  name: `${op.toLowerCase()}_kernel_time`,
  ts,
  dur,
  args: { op_name: op, provider: `${provider}ExecutionProvider` },
});

const result: BenchResult = {
  name: 'm.onnx',
  points: [
    {
      batch: 1,
      threads: 2,
      latency: describe([1, 2, 3]),
      throughput: 500,
      flops: undefined,
      warmupRuns: 5,
    },
  ],
  loadMs: 10,
  firstRunMs: 4,
  usage: { idleBytes: 50e6, loadedBytes: 60e6, peakBytes: 80e6, loadMs: 10, firstRunMs: 4 },
  profile: summarizeTrace([
    { name: 'model_run', ts: 0 },
    event('Conv', 'CUDA', 0, 600),
    event('NonZero', 'CPU', 600, 300),
    event('Gather', 'CPU', 900, 100),
  ]),
};

it('tells what another provider left to the CPU, and its share', () => {
  const { profile } = metricsOf(result, 'cuda') as { profile: Record<string, number> };
  expect(profile).toMatchObject({ cpu_nodes: 2, nodes_ms: 1 });
  expect(profile['cpu_share']).toBeCloseTo(0.4, 12);
  const texts = blocksOf([result], 'cuda', false).flatMap((b) => ('text' in b ? [b.text] : []));
  expect(texts).toEqual([
    'm.onnx: 2 nodes ran on the CPU and took 40.0 % of the time: NonZero, Gather.',
  ]);
});

it('says nothing of the kind for the CPU itself', () => {
  expect(metricsOf(result, 'cpu')['profile']).not.toHaveProperty('cpu_nodes');
  expect(blocksOf([result], 'cpu', false).some((block) => 'text' in block)).toBe(false);
});

it('separates the model from the memory of the empty process', () => {
  expect(metricsOf(result, 'cpu')).toMatchObject({ peak_rss_bytes: 80e6, model_rss_bytes: 30e6 });
});
