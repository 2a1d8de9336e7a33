// The table of kernels is that of the installed onnxruntime, and trying some again gives the same.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  KERNELS_OF,
  type MachineFacts,
  newestOpset,
  resolveTarget,
  TARGETS,
} from '../../src/targets/target.ts';

const REGENERATE = 'node scripts/kernels.mjs';
const { resolve } = createRequire(join(process.cwd(), 'package.json'));

const machine = (change: Partial<MachineFacts> = {}): MachineFacts => ({
  architecture: 'x64',
  instructionSets: [],
  hasCuda: false,
  ...change,
});
const withSet = (name: string, present = true) => machine({ instructionSets: [{ name, present }] });

/** True and false ones, of every part of the table, and those that surprise. */
const SAMPLE = [
  ...['MatMulInteger:u8s8', 'ConvInteger:u8s8', 'ConvInteger:per-channel', 'QLinearConv:s8u8'],
  ...['QLinearConv:3d', 'DynamicQuantizeLSTM:s8-per-channel', 'QAttention:s8s8', 'QLinearWhere:s8'],
  ...['DequantizeLinear:int2-blocked', 'QuantizeLinear:float8e5m2', 'MatMulNBits:2-zero-points'],
  ...[
    'GatherBlockQuantized:8',
    'MatMulBnb4:fp16',
    'GroupQueryAttention',
    'Conv:fp16',
    'MatMul:bf16',
  ],
  ...['LayerNormalization:fp16', 'opset:26', 'opset:27', 'ir:13', 'ir:14'],
];

describe('the table of kernels', () => {
  it(`is that of the installed onnxruntime; to renew it: ${REGENERATE}`, () => {
    const { version } = JSON.parse(readFileSync(resolve('onnxruntime-node/package.json'), 'utf8'));
    expect({ table: KERNELS_OF, renew: REGENERATE }).toEqual({ table: version, renew: REGENERATE });
  });

  it.each(['cpu', 'web-wasm'] as const)('says what trying says: %s', (name) => {
    const script = join(process.cwd(), 'scripts/kernels.mjs');
    const printed = execFileSync(process.execPath, [script, '--target', name, ...SAMPLE], {
      encoding: 'utf8',
    });
    const target = resolveTarget(name, machine());
    const table = Object.fromEntries(SAMPLE.map((kernel) => [kernel, target.has(kernel)]));
    expect(JSON.parse(printed)[name].kernels).toEqual(table);
    expect(new Set(Object.values(table))).toEqual(new Set([true, false]));
  });

  it('asks about the same kernels everywhere', () => {
    const targets = JSON.parse(readFileSync('src/targets/kernels.json', 'utf8')).targets;
    expect(Object.keys(targets).sort()).toEqual([...TARGETS].sort());
    const kernels = Object.keys(targets.cpu.kernels);
    for (const name of TARGETS) expect(Object.keys(targets[name].kernels)).toEqual(kernels);
  });
});

describe('a target', () => {
  it('is this machine when it is auto', () => {
    expect(resolveTarget('auto', machine())).toMatchObject({ name: 'cpu', isHere: true });
    const card = machine({ hasCuda: true });
    expect(resolveTarget('auto', card)).toMatchObject({ name: 'cuda', isHere: true });
    expect(resolveTarget('cpu', card)).toMatchObject({ name: 'cpu', isHere: true });
  });

  it('is elsewhere when this machine lacks it', () => {
    expect(resolveTarget('cuda', machine()).isHere).toBe(false);
    expect(resolveTarget('web-wasm', machine()).isHere).toBe(false);
  });

  it.each([
    [withSet('AVX-512 VNNI'), true],
    [withSet('AVX-VNNI'), true],
    [withSet('AVX-512 VNNI', false), false],
    [withSet('AVX2'), false],
    [machine(), false],
    [machine({ architecture: 'arm64' }), true],
  ])('has exact products where instructions add up in 32 bits: %j', (facts, isExact) => {
    expect(resolveTarget('cpu', facts).exactProducts).toBe(isExact);
    expect(resolveTarget('web-wasm', facts).exactProducts).toBe(true);
  });

  it('differs in what it has', () => {
    const has = TARGETS.map((name) => resolveTarget(name, machine()).has('MatMulInteger:u8s8'));
    expect(has).toEqual([true, false, true, false]);
    const half = TARGETS.map((name) => resolveTarget(name, machine()).has('Conv:fp16'));
    expect(half).toEqual([false, true, false, true]);
  });

  it('knows nothing of half precision in operators that were not tried', () => {
    expect(resolveTarget('cuda', machine()).has('Unheard:bf16')).toBe(false);
  });

  it('refuses names of kernels that nobody tries', () => {
    expect(() => resolveTarget('cpu', machine()).has('MatMulInteger:u8x8')).toThrow(
      '"MatMulInteger:u8x8"',
    );
  });

  it('tells the newest opset that it loads', () => {
    expect(newestOpset(resolveTarget('cpu', machine()))).toBe(26);
  });
});
