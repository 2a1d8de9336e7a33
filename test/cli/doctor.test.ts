import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { xform } from '../helpers/cli.ts';

it('tells versions, providers, instruction sets and cures', async () => {
  const { code, stdout, stderr } = await xform(['doctor', '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { metrics } = JSON.parse(stdout);
  expect(metrics.node).toBe(process.versions.node);
  const installed = JSON.parse(readFileSync('node_modules/onnxruntime-node/package.json', 'utf8'));
  expect(metrics.onnxruntime).toBe(installed.version);
  expect(metrics.providers.cpu.runs).toBe(true);
  const names = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'];
  expect(Object.keys(metrics.providers)).toEqual(names);
  const { cuda } = metrics.providers;
  if (process.platform === 'linux' && !cuda.runs) {
    const missing = cuda.libraries.filter((library: { path?: string }) => !library.path);
    expect(missing.length).toBeGreaterThan(0);
    expect(cuda.hint).toMatch(/\w/);
  }
  const flags = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  if (process.arch === 'x64' && flags) {
    expect(metrics.hardware.instruction_sets['AVX2']).toBe(/\bavx2\b/.test(flags));
    expect(metrics.hardware.instruction_sets['AVX-512 VNNI']).toBe(/\bavx512_vnni\b/.test(flags));
    expect(metrics.hardware.instruction_sets['AMX']).toBe(/\bamx_tile\b/.test(flags));
  }
});

it('prints tables for people', async () => {
  const { code, stdout } = await xform(['doctor']);
  expect(code).toBe(0);
  for (const title of ['Programs', 'Machine', 'Providers']) expect(stdout).toContain(title);
  expect(stdout).toMatch(/cpu\s+yes/);
});
