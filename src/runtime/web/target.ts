// Measuring on a target that is a browser: files run in turn in one page (or, for WebAssembly where
// there is no browser, in Node), so that a quantised model can be held against its float original.

import type { TargetName } from '../../targets/target.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { type Unavailable, type WebRuntimeOptions, webRuntimes } from './index.ts';
import type { WebResult, WebRunnerName, WebRunOptions } from './runner.ts';

/** Runtimes of a target, the most telling one first. */
const RUNTIMES: Readonly<Partial<Record<TargetName, readonly WebRunnerName[]>>> = {
  'web-wasm': ['wasm (chromium)', 'wasm (node)'],
  'web-webgpu': ['webgpu (chromium)'],
};

export interface TargetMeasurement {
  readonly runtime: WebRunnerName;
  /** What stands in for a device: outputs count then, times do not. */
  readonly software?: string;
  /** In the order of the files; sample i of all files was measured together. */
  readonly results: readonly (WebResult | Error)[];
}

/** Whether `measureOnTarget` knows how to run a target. */
export function isWebTarget(target: TargetName): boolean {
  return RUNTIMES[target] !== undefined;
}

/** Runs the files on the target; what is lacking, where there is no way to. */
export async function measureOnTarget(
  target: TargetName,
  files: readonly string[],
  feeds: Feeds,
  options: WebRunOptions & WebRuntimeOptions = {},
): Promise<TargetMeasurement | Unavailable> {
  const names = RUNTIMES[target] ?? [];
  const web = await webRuntimes({ ...options, names });
  try {
    for (const name of names) {
      const runner = web.runners.find((one) => one.name === name);
      if (!runner) continue;
      const items = files.map((path) => ({ path, feeds }));
      const results = await runner.runInTurn(items, options);
      const { software } = runner;
      return { runtime: name, ...(software ? { software } : {}), results };
    }
    const [first] = web.unavailable;
    if (first) return first;
    throw new Error(`${target} is no browser`);
  } finally {
    await web.close();
  }
}
