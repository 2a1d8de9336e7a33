// The web runtimes of this machine: which are there, and what the others lack.

import { packageRoot } from '../location.ts';
import type { Chromium } from './chromium.ts';
import { nodeCarrier } from './node.ts';
import {
  findBrowser,
  findDriver,
  findWebRuntime,
  INSTALL_BROWSER,
  INSTALL_DRIVER,
  INSTALL_RUNTIME,
  type WebPackage,
} from './packages.ts';
import {
  CarriedRunner,
  type Carrier,
  type Description,
  WEB_RUNNERS,
  type WebRunner,
  type WebRunnerName,
} from './runner.ts';

export type { WebItem, WebResult, WebRunner, WebRunnerName, WebRunOptions } from './runner.ts';

/** A runtime that is not there: why, and what to do about it. */
export interface Unavailable {
  readonly name: WebRunnerName;
  readonly reason: string;
  readonly hint: string;
}

export interface WebRuntimes {
  readonly runners: readonly WebRunner[];
  readonly unavailable: readonly Unavailable[];
  /** Ends the browser, if one was started. */
  close(): Promise<void>;
}

export interface WebRuntimeOptions {
  /** Where to look for the packages, the first that has one wins; left out: xform's own folder. */
  readonly folders?: readonly string[];
  /** The browser's program; left out, the usual places are searched. */
  readonly browser?: string | undefined;
  /** Left out: all. */
  readonly names?: readonly WebRunnerName[];
}

/** Finds and starts what there is. */
export async function webRuntimes(options: WebRuntimeOptions = {}): Promise<WebRuntimes> {
  const wanted = options.names ?? WEB_RUNNERS;
  const runtime = findWebRuntime(options.folders ?? [packageRoot()]);
  if (!runtime) {
    const reason = 'the package onnxruntime-web is not installed';
    const lacking = wanted.map((name) => ({ name, reason, hint: `Run: ${INSTALL_RUNTIME}` }));
    return { runners: [], unavailable: lacking, close: () => Promise.resolve() };
  }
  const runners: WebRunner[] = [];
  const unavailable: Unavailable[] = [];
  const add = (description: Description, carrier: Carrier) => {
    if (wanted.includes(description.name)) runners.push(new CarriedRunner(description, carrier));
  };
  const { version } = runtime;
  const wasm = { provider: 'wasm', version, hasHalf: true } as const;
  add({ name: 'wasm (node)', ...wasm }, nodeCarrier(runtime));
  const inBrowser = wanted.filter((name) => name.endsWith('(chromium)'));
  if (inBrowser.length === 0) return { runners, unavailable, close: () => Promise.resolve() };
  const started = await startChromium(runtime, options);
  if ('reason' in started) {
    for (const name of inBrowser) unavailable.push({ name, ...started });
    return { runners, unavailable, close: () => Promise.resolve() };
  }
  add({ name: 'wasm (chromium)', ...wasm }, started.carrier);
  const { adapter } = started;
  if (adapter) {
    const { hasHalf, isSoftware, name: software } = adapter;
    const webgpu = { name: 'webgpu (chromium)', provider: 'webgpu', version, hasHalf } as const;
    add({ ...webgpu, ...(isSoftware ? { software } : {}) }, started.carrier);
  } else if (wanted.includes('webgpu (chromium)')) {
    const reason = 'the browser has no WebGPU adapter, not even one in software';
    const hint = 'Install drivers for Vulkan, or try a browser of another maker.';
    unavailable.push({ name: 'webgpu (chromium)', reason, hint });
  }
  return { runners, unavailable, close: () => started.close() };
}

async function startChromium(
  runtime: WebPackage,
  options: WebRuntimeOptions,
): Promise<Chromium | { readonly reason: string; readonly hint: string }> {
  const entry = findDriver(options.folders ?? [packageRoot()]);
  if (!entry) {
    const reason = 'the package playwright-core is not installed';
    return { reason, hint: `Run: ${INSTALL_DRIVER}` };
  }
  const { Chromium, loadDriver } = await import('./chromium.ts');
  const driver = loadDriver(entry);
  const program = findBrowser(options.browser, driver.chromium.executablePath());
  if (!program) return { reason: 'no browser was found', hint: INSTALL_BROWSER };
  try {
    return await Chromium.start(driver, program, runtime);
  } catch (error) {
    const reason = `${program} does not start: ${error instanceof Error ? error.message : error}`;
    return { reason: reason.split('\n')[0] ?? reason, hint: INSTALL_BROWSER };
  }
}
