// The peak of resident memory of this process.

import { readFileSync } from 'node:fs';

/**
 * Bytes. On Linux from /proc, because getrusage's figure survives exec: a child would report its
 * parent's size.
 */
export function peakMemory(): number {
  if (process.platform === 'linux') {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kilobytes) return Number(kilobytes) * 1024;
  }
  return process.resourceUsage().maxRSS * 1024;
}
