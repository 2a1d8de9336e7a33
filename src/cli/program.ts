// Runs a command through oclif and answers for everything that no command caught.

import { Config } from '@oclif/core/config';
import { ExitError } from '@oclif/core/errors';
import { run } from '@oclif/core/run';
import { wantsColor } from './color.ts';
import { reportFailure } from './failure.ts';

export async function runProgram(argv: readonly string[], root: string): Promise<void> {
  try {
    await run([...argv], { root });
  } catch (error) {
    if (error instanceof ExitError) process.exit(error.oclif.exit ?? 0);
    const config = await Config.load({ root });
    process.exitCode = reportFailure(error, {
      json: argv.includes('--json'),
      verbose: argv.includes('--verbose'),
      color: !argv.includes('--no-color') && wantsColor(),
      commands: config.commandIDs,
    });
  }
}
