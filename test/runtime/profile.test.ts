import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { readTrace, summarizeTrace } from '../../src/runtime/profile.ts';
import { openSession } from '../../src/runtime/session.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { sharedPath } from '../helpers/shared.ts';

const node = (
  name: string,
  op: string,
  ts: number,
  dur: number,
  provider = 'CPUExecutionProvider',
) => ({
  cat: 'Node',
  name: `${name}_kernel_time`,
  ts,
  dur,
  tid: 1,
  args: { op_name: op, provider },
});
const run = (ts: number, dur: number) => ({ cat: 'Session', name: 'model_run', ts, dur, tid: 1 });

it('counts what bodies do once, and leaves warm-up runs out', () => {
  const profile = summarizeTrace(
    [
      run(0, 900),
      node('loop', 'Loop', 0, 900),
      run(1000, 110),
      // Events of a body stand before the node that has it.
      node('inner', 'Add', 1010, 30),
      node('inner', 'Add', 1045, 30),
      node('loop', 'Loop', 1000, 80),
      node('conv', 'Conv', 1085, 20, 'CUDAExecutionProvider'),
    ],
    1,
  );
  expect(profile.ms).toBeCloseTo(0.1, 12);
  expect(profile.nodes.map(({ name, ms }) => [name, ms])).toEqual([
    ['inner', 0.06],
    ['loop', 0.02],
    ['conv', 0.02],
  ]);
  expect(profile.ops[0]).toEqual({ op: 'Add', nodes: 1, ms: 0.06, share: 0.6 });
  expect(profile.providers.map(({ provider, nodes }) => [provider, nodes])).toEqual([
    ['CPUExecutionProvider', 2],
    ['CUDAExecutionProvider', 1],
  ]);
});

it('reads what onnxruntime writes', async () => {
  const path = sharedPath('models', 'mnist_8.onnx');
  if (!path) return;
  const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
  const profilePrefix = join(folder, 'trace');
  const session = await openSession(path, { profilePrefix, optimization: 'disabled' });
  const feeds = new Map([['Input3', Tensor.of('float32', [1, 1, 28, 28], new Float32Array(784))]]);
  for (let i = 0; i < 3; i++) await session.run(feeds);
  await session.endProfiling();
  await session.dispose();
  const { ops, nodes, ms } = readTrace(profilePrefix, 1);
  rmSync(folder, { recursive: true });
  // The model's nodes as the manifest of the model zoo lists them.
  expect(Object.fromEntries(ops.map(({ op, nodes: count }) => [op, count]))).toEqual({
    Conv: 2,
    Add: 3,
    Relu: 2,
    MaxPool: 2,
    Reshape: 2,
    MatMul: 1,
  });
  expect(nodes.reduce((sum, row) => sum + row.share, 0)).toBeCloseTo(1, 9);
  expect(ms).toBeGreaterThan(0);
});
