// Runs the built program as a user would, in a process of its own.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it came, for models. */
  readonly bytes: Buffer;
}

/** `xform …args`; standard input is `input`, the environment has no colors. */
export function xform(
  args: readonly string[],
  options: { input?: Uint8Array; cwd?: string; signalAfterMs?: number } = {},
): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(process.cwd(), 'bin/run.js'), ...args], {
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '' },
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
    if (options.signalAfterMs) setTimeout(() => child.kill('SIGINT'), options.signalAfterMs);
    child.on('error', reject);
    child.on('close', (code) => {
      const bytes = Buffer.concat(stdout);
      resolve({ code, bytes, stdout: bytes.toString(), stderr: Buffer.concat(stderr).toString() });
    });
  });
}

/** Starts the program and kills it as soon as the file is there. */
export function killed(args: readonly string[], file: string): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(process.cwd(), 'bin/run.js'), ...args], {
      stdio: 'ignore',
    });
    const timer = setInterval(() => {
      if (!existsSync(file)) return;
      clearInterval(timer);
      child.kill('SIGKILL');
    }, 2);
    child.on('close', () => {
      clearInterval(timer);
      resolve();
    });
  });
}
