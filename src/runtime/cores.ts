// How many cores this process may use: physical cores, less what affinity and containers take away.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Threads for execution when the user does not say: one per physical core (as onnxruntime does). */
export function defaultThreads(): number {
  const limit = Math.min(availableParallelism(), quotaCores() ?? Number.POSITIVE_INFINITY);
  return Math.max(1, Math.floor(Math.min(limit, physicalCores() ?? limit)));
}

/** Physical cores of the machine; undefined where the system does not say. */
export function physicalCores(): number | undefined {
  const text = readText('/proc/cpuinfo');
  if (text === undefined) return undefined;
  const cores = new Set<string>();
  for (const block of text.split('\n\n')) {
    const package_ = /^physical id\s*:\s*(\d+)/m.exec(block)?.[1];
    const core = /^core id\s*:\s*(\d+)/m.exec(block)?.[1];
    if (core !== undefined) cores.add(`${package_}/${core}`);
  }
  return cores.size || undefined;
}

/** Cores that a container's CPU quota amounts to (cgroup 2, then 1). */
export function quotaCores(): number | undefined {
  const [quota, period] = (readText('/sys/fs/cgroup/cpu.max') ?? '').trim().split(' ');
  if (quota && quota !== 'max') return Number(quota) / Number(period || 100_000);
  const old = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') ?? -1);
  const oldPeriod = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_period_us') ?? 100_000);
  return old > 0 ? old / oldPeriod : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
