// The last stop of every error: one block on standard error, one JSON object if asked, an exit code.

import { CLIError } from '@oclif/core/errors';
import { XformError } from '../errors/error.ts';
import { unknownName, usageProblem } from '../errors/usage.ts';
import { Reporter } from '../report/reporter.ts';

export interface FailureOptions {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  readonly commands: readonly string[];
}

/** Prints the error and returns the exit code. */
export function reportFailure(error: unknown, options: FailureOptions): number {
  const known = asXformError(error, options.commands);
  const reporter = new Reporter({ ...options, quiet: false, stream: process.stderr });
  if (known) {
    reporter.error(known);
    if (options.json) process.stdout.write(`${JSON.stringify({ error: errorJson(known) })}\n`);
    return known.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  const bug = {
    code: 'bug',
    message,
    hint: 'This is a bug in xform: please report it with the output of --verbose.',
  };
  process.stderr.write(`error: ${message}\n  try: ${bug.hint}\n`);
  if (options.verbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify({ error: bug })}\n`);
  return 1;
}

export function errorJson(error: XformError): Record<string, string> {
  const json: Record<string, string> = { code: error.code, message: error.message };
  if (error.hint) json['hint'] = error.hint;
  if (error.where) json['where'] = error.where;
  return json;
}

/** XformErrors as they are; oclif's parse errors as usage; what the system says about files. */
function asXformError(error: unknown, commands: readonly string[]): XformError | undefined {
  if (error instanceof XformError) return error;
  if (error instanceof CLIError) return usageError(error, commands);
  if (error instanceof Error && 'syscall' in error && 'code' in error) return systemError(error);
  return undefined;
}

/** What oclif's parser says, without its advice, which is about its own syntax. */
function usageError(error: CLIError, commands: readonly string[]): XformError {
  const lines = error.message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !/^(See more help|Note:|Alternatively)/.test(line));
  const missing = /^command (.+) not found\.?$/i.exec(lines[0] ?? '');
  // oclif takes words that follow for subcommands: `optimise:model.onnx`.
  const [word] = missing?.[1]?.split(/[: ]/) ?? [];
  if (word) return unknownName('command', word, commands);
  const { flags: [flag] = [], parse } = error as CLIError & ParserDetails;
  if (flag && lines[0]?.startsWith('Nonexistent flag')) {
    return unknownName(
      'flag',
      flag,
      Object.keys(parse?.input?.flags ?? {}).map((name) => `--${name}`),
    );
  }
  const text = lines.join(' ').replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
  return usageProblem(text, 'Run the command with --help to see its arguments and flags.');
}

interface ParserDetails {
  readonly flags?: readonly string[];
  readonly parse?: { readonly input?: { readonly flags?: object } };
}

function systemError(error: Error & { code?: unknown; path?: unknown }): XformError {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file or folder',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder, not a file',
    ENOTDIR: 'a part of the path is not a folder',
    ENOSPC: 'the disk is full',
    EROFS: 'the file system is read-only',
    EMFILE: 'too many files are open',
  };
  const reason = reasons[String(error.code)] ?? error.message;
  return new XformError({
    kind: 'data',
    code: 'file-system',
    message: typeof error.path === 'string' ? `"${error.path}": ${reason}` : reason,
    cause: error,
  });
}
