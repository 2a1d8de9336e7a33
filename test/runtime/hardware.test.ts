import { availableParallelism } from 'node:os';
import { expect, it } from '@jest/globals';
import { defaultThreads } from '../../src/runtime/cores.ts';
import { describeHardware, instructionSets } from '../../src/runtime/hardware.ts';

const present = (flags: string, arch: string) =>
  instructionSets(new Set(flags.split(' ')), arch)
    .filter((set) => set.present)
    .map((set) => set.name);

it('reads instruction sets from the flags that processors show', () => {
  // Flags as /proc/cpuinfo has them: Haswell, Sapphire Rapids, Neoverse V1.
  expect(present('sse4_2 avx avx2 fma', 'x64')).toEqual(['AVX2', 'FMA']);
  const sapphire =
    'avx2 fma avx512f avx512_vnni avx_vnni avx512_bf16 avx512_fp16 amx_tile amx_int8 amx_bf16';
  expect(present(sapphire, 'x64')).toHaveLength(10);
  expect(present('fp asimd asimdhp asimddp sve i8mm bf16', 'arm64')).toEqual([
    'NEON',
    'FP16',
    'DotProd',
    'I8MM',
    'BF16',
    'SVE',
  ]);
  expect(instructionSets(new Set(), 'x64')).toEqual([]);
});

it('uses no more threads than there are cores', () => {
  const { cores, memoryBytes } = describeHardware();
  expect(defaultThreads()).toBeGreaterThanOrEqual(1);
  expect(defaultThreads()).toBeLessThanOrEqual(availableParallelism());
  expect(cores.used).toBe(defaultThreads());
  expect(memoryBytes).toBeGreaterThan(2 ** 28);
});
