// Runs inside a browser's page: fetches the task, carries it out, sends the outputs back. Built on
// its own for browsers; only execute.ts and task.ts come with it.

import { execute, type WebRuntime } from './execute.ts';
import { packTensors, unpackTensors, type WebAnswer, type WebTask } from './task.ts';

export interface PageSummary {
  readonly answers: readonly WebAnswer[];
  readonly version: string;
}

export interface Adapter {
  /** Made by software: it computes right, but says nothing about the speed of a device. */
  readonly isSoftware: boolean;
  readonly name: string;
  readonly hasHalf: boolean;
}

interface GpuAdapter {
  readonly info?: { readonly vendor?: string; readonly architecture?: string };
  readonly isFallbackAdapter?: boolean;
  readonly features: { has(name: string): boolean };
}

interface Gpu {
  requestAdapter(): Promise<GpuAdapter | null>;
}

async function run(runtime: string, base: string): Promise<PageSummary> {
  const ort = (await import(runtime)) as WebRuntime;
  ort.env.wasm.wasmPaths = new URL('/ort/', location()).href;
  const task = (await (await fetch(`${base}/task`)).json()) as WebTask;
  const feeds = await Promise.all(
    task.models.map(async (_, i) =>
      unpackTensors(await (await fetch(`${base}/feeds/${i}`)).arrayBuffer()),
    ),
  );
  const { answers, outputs } = await execute(ort, task, feeds);
  for (const [i, tensors] of outputs.entries()) {
    await fetch(`${base}/outputs/${i}`, { method: 'POST', body: packTensors(tensors) });
  }
  return { answers, version: ort.env.versions.web ?? '' };
}

async function adapter(): Promise<Adapter | undefined> {
  const { gpu } = navigator as { gpu?: Gpu };
  const found = await gpu?.requestAdapter();
  if (!found) return undefined;
  const { vendor = '', architecture = '' } = found.info ?? {};
  const isSoftware = found.isFallbackAdapter === true || /swiftshader|llvmpipe/i.test(architecture);
  return {
    isSoftware,
    name: [vendor, architecture].filter(Boolean).join(' '),
    hasHalf: found.features.has('shader-f16'),
  };
}

function location(): string {
  return (globalThis as unknown as { location: { href: string } }).location.href;
}

declare const navigator: object;

Object.assign(globalThis, { xformPage: { run, adapter } });
