import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runInChild } from '../../src/runtime/child-tasks.ts';
import { findLibraries, mend } from '../../src/runtime/libraries.ts';
import { probeAll, resolveProvider } from '../../src/runtime/provider.ts';

describe('providers', () => {
  it('tries each, and the CPU always runs', async () => {
    const probes = await probeAll();
    const cpu = probes.find((probe) => probe.provider === 'cpu');
    expect(cpu).toMatchObject({ runs: true, backends: expect.arrayContaining(['cpu']) });
    for (const { provider, runs, reason, problem, backends } of probes) {
      // A provider that the binding does not know would have run on the CPU without an error.
      if (!backends.includes(provider))
        expect({ runs, problem }).toEqual({ runs: false, problem: 'not-built' });
      if (!runs) expect(reason).toMatch(/\w/);
      expect(reason ?? '').not.toMatch(/::|was false/);
    }
  });

  it('resolves auto to a provider that runs, and never falls back from a name', async () => {
    const probes = await probeAll();
    const runs = new Map(probes.map((probe) => [probe.provider, probe.runs]));
    const { provider } = await resolveProvider('auto');
    expect(provider).toBe(runs.get('cuda') ? 'cuda' : 'cpu');
    for (const [name, works] of runs) {
      if (works) expect((await resolveProvider(name)).provider).toBe(name);
      else
        await expect(resolveProvider(name)).rejects.toMatchObject({
          kind: 'provider',
          exitCode: 5,
        });
    }
  });
});

const onLinux = process.platform === 'linux' ? describe : describe.skip;

onLinux('libraries', () => {
  it('are found where the linker looks, and the rest is named with a cure', () => {
    const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
    const cudnn = join(folder, 'libcudnn.so.9');
    writeFileSync(cudnn, '');
    const without = findLibraries('cuda');
    const found = findLibraries('cuda', `/nowhere:${folder}`);
    rmSync(folder, { recursive: true });
    expect(found.find(({ name }) => name === 'libcudnn.so.9')?.path).toBe(cudnn);
    expect(found.map(({ name }) => name)).toEqual(without.map(({ name }) => name));
    const missing = [{ name: 'libonnxruntime_providers_cuda.so', path: undefined }];
    expect(mend('cuda', missing)).toContain('install.js --onnxruntime-node-install');
    const elsewhere = {
      name: 'libcudart.so.12',
      path: undefined,
      elsewhere: '/opt/cuda/lib64/libcudart.so.12',
    };
    expect(mend('cuda', [elsewhere])).toBe('Put "/opt/cuda/lib64" into LD_LIBRARY_PATH.');
    expect(mend('cuda', [{ name: 'libcudart.so.12', path: '/usr/lib/libcudart.so.12' }])).toBe('');
  });
});

it('tells how a process died', async () => {
  const task = { task: 'usage', path: 'm.onnx', options: {}, feeds: [], runs: 1 } as const;
  const { failure } = await runInChild(task, 1);
  expect(failure).toMatch(/was ended by SIGKILL/);
});

it('survives a task that makes no sense', async () => {
  const answer = await runInChild({
    task: 'usage',
    path: '/nowhere/model.onnx',
    options: {},
    feeds: [],
    runs: 1,
  });
  expect(answer.usage).toBeUndefined();
  expect(answer.failure).toContain('/nowhere/model.onnx');
});
