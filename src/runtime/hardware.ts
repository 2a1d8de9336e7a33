// What this machine offers to a runtime: instruction sets, cores, memory, graphics cards.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os';
import { defaultThreads, physicalCores, quotaCores } from './cores.ts';

export interface Hardware {
  readonly platform: string;
  readonly cpu: string;
  readonly cores: {
    readonly logical: number;
    readonly physical: number | undefined;
    /** What a container's quota leaves. */
    readonly quota: number | undefined;
    /** Threads that execution takes when --threads does not say. */
    readonly used: number;
  };
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly instructionSets: readonly InstructionSet[];
  readonly gpus: readonly Gpu[];
}

export interface InstructionSet {
  readonly name: string;
  readonly present: boolean;
  /** What it is good for. */
  readonly use: string;
}

export interface Gpu {
  readonly name: string;
  readonly driver: string;
  readonly memoryBytes: number;
}

/** Flags of /proc/cpuinfo, or names of sysctl on macOS, that stand for an instruction set. */
const X86 = [
  { name: 'AVX2', flags: ['avx2'], use: 'fast float32' },
  { name: 'FMA', flags: ['fma'], use: 'fast float32' },
  { name: 'AVX-512', flags: ['avx512f'], use: 'wider float32' },
  { name: 'AVX-512 VNNI', flags: ['avx512_vnni', 'avx512vnni'], use: 'fast int8' },
  { name: 'AVX-VNNI', flags: ['avx_vnni'], use: 'fast int8' },
  { name: 'AVX-512 BF16', flags: ['avx512_bf16'], use: 'fast bfloat16' },
  { name: 'AVX-512 FP16', flags: ['avx512_fp16'], use: 'fast float16' },
  { name: 'AMX', flags: ['amx_tile'], use: 'matrix products' },
  { name: 'AMX INT8', flags: ['amx_int8'], use: 'int8 matrix products' },
  { name: 'AMX BF16', flags: ['amx_bf16'], use: 'bfloat16 matrix products' },
];

const ARM = [
  {
    name: 'NEON',
    flags: ['asimd', 'hw.optional.neon', 'hw.optional.AdvSIMD'],
    use: 'fast float32',
  },
  { name: 'FP16', flags: ['asimdhp', 'hw.optional.arm.FEAT_FP16'], use: 'fast float16' },
  { name: 'DotProd', flags: ['asimddp', 'hw.optional.arm.FEAT_DotProd'], use: 'fast int8' },
  { name: 'I8MM', flags: ['i8mm', 'hw.optional.arm.FEAT_I8MM'], use: 'int8 matrix products' },
  { name: 'BF16', flags: ['bf16', 'hw.optional.arm.FEAT_BF16'], use: 'bfloat16 matrix products' },
  { name: 'SVE', flags: ['sve'], use: 'wider vectors' },
];

export function describeHardware(): Hardware {
  return {
    platform: `${platform()}-${arch()}`,
    cpu: cpus()[0]?.model.trim() || 'unknown',
    cores: {
      logical: availableParallelism(),
      physical: physicalCores(),
      quota: quotaCores(),
      used: defaultThreads(),
    },
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    instructionSets: instructionSets(cpuFlags(), arch()),
    gpus: nvidiaGpus(),
  };
}

/** Judges the flags; empty when the system does not tell any. */
export function instructionSets(
  flags: ReadonlySet<string>,
  architecture: string,
): InstructionSet[] {
  if (flags.size === 0) return [];
  return (architecture === 'arm64' ? ARM : X86).map(({ name, flags: names, use }) => ({
    name,
    present: names.some((flag) => flags.has(flag)),
    use,
  }));
}

function cpuFlags(): Set<string> {
  if (platform() === 'darwin') return macFlags();
  try {
    const text = readFileSync('/proc/cpuinfo', 'utf8');
    const list = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? '';
    return new Set(list.split(' ').filter(Boolean));
  } catch {
    return new Set();
  }
}

/** `hw.optional.x: 1`, and on Intel the old list of features. */
function macFlags(): Set<string> {
  const lines = output('sysctl', ['hw.optional', 'machdep.cpu']).split('\n');
  const flags = lines.flatMap((line) => {
    const [key = '', value = ''] = line.split(/:\s*/, 2);
    if (key.startsWith('hw.optional')) {
      return value === '1' ? [key, key.replace('hw.optional.', '').replace('2_0', '2')] : [];
    }
    return /features/.test(key) ? value.toLowerCase().split(' ') : [];
  });
  return new Set(flags);
}

function nvidiaGpus(): Gpu[] {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits'];
  return output('nvidia-smi', query)
    .split('\n')
    .filter((line) => line.includes(','))
    .map((line) => {
      const [name = '', driver = '', mebibytes = ''] = line.split(',').map((part) => part.trim());
      return { name, driver, memoryBytes: Number(mebibytes) * 2 ** 20 };
    });
}

/** What a program prints; nothing when it is not there or fails. */
function output(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe', timeout: 10_000 });
  } catch {
    return '';
  }
}
