// A quantised model that is made for browsers, tried there beside the original: does it load, is it
// close, is it faster?

import { join } from 'node:path';
import { resultDoesNotRun } from '../../errors/model.ts';
import type { Model } from '../../graph/index.ts';
import { writeModel } from '../../onnx/index.ts';
import type { Warning } from '../../report/report.ts';
import { packageRoot } from '../../runtime/location.ts';
import { scratchFolder } from '../../runtime/scratch.ts';
import { measureOnTarget } from '../../runtime/web/target.ts';
import type { TargetName } from '../../targets/target.ts';
import type { SpeedInput } from './keep-faster.ts';

export interface WebTrial {
  readonly runtime: string;
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** Throws where the original runs on the target and the result does not. */
export async function tryOnTarget(
  target: TargetName,
  input: SpeedInput,
  model: Model,
): Promise<WebTrial | Warning> {
  const folder = scratchFolder();
  try {
    const file = join(folder.path, 'quantized.onnx');
    await writeModel(model.clone(), file);
    const options = { folders: [process.cwd(), packageRoot()] };
    const found = await measureOnTarget(target, [input.reference, file], input.feeds, options);
    if ('reason' in found) return notTried(target, `${found.reason}. ${found.hint}`);
    const [before, after] = found.results;
    if (!before || before instanceof Error) {
      return notTried(target, `the original does not run there (${before?.message ?? ''})`);
    }
    if (!after || after instanceof Error) {
      throw resultDoesNotRun(`in ${found.runtime}: ${after?.message ?? 'it gave no answer'}`);
    }
    return { runtime: found.runtime, beforeMs: before.medianMs, afterMs: after.medianMs };
  } finally {
    folder.remove();
  }
}

function notTried(target: TargetName, reason: string): Warning {
  return { code: 'target-not-tried', message: `the result was not tried on ${target}: ${reason}` };
}
