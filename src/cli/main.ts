// The program's entry: `--version` without any framework, everything else through oclif.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { endOnSignals } from './interrupt.ts';

/** Runs the program installed at `root`; ends the process with the contract's exit codes. */
export async function main(root: string): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.length === 1 && argv[0] === '--version') {
    process.stdout.write(`${versionLine(root)}\n`);
    return;
  }
  const help = helpFile(root, argv);
  if (help) {
    process.stdout.write(readFileSync(help));
    return;
  }
  endOnSignals();
  // A reader that went away (`xform … | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const { runProgram } = await import('./program.ts');
  await runProgram(argv, root);
}

/**
 * Help as the build rendered it, so that it appears without loading the framework; undefined where
 * nobody asks for help, or on a terminal too narrow for it.
 */
function helpFile(root: string, argv: readonly string[]): string | undefined {
  if ((process.stdout.columns ?? 80) < 80) return undefined;
  const asks = (word: string | undefined) => word === '--help' || word === '-h';
  const words = argv.length === 0 ? [] : argv.slice(0, -1);
  if (argv.length > 0 && !asks(argv.at(-1))) return undefined;
  if (words.some((word) => !/^[a-z]+$/.test(word))) return undefined;
  const path = join(root, 'dist/help', `${words.join(' ') || 'xform'}.txt`);
  return existsSync(path) ? path : undefined;
}

/** `xform 0.1.0 node 20.20.2 onnxruntime 1.30.0 linux-x64`. */
function versionLine(root: string): string {
  const { version } = readJson(join(root, 'package.json'));
  const runtime = runtimeVersion(root);
  return `xform ${version} node ${process.versions.node} onnxruntime ${runtime} ${process.platform}-${process.arch}`;
}

function runtimeVersion(root: string): string {
  // The binding's own package says it without loading the native library.
  const { resolve } = createRequire(join(root, 'package.json'));
  return String(readJson(resolve('onnxruntime-node/package.json')).version);
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8'));
}
