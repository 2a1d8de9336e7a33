// onnxruntime-web with WebGPU in a page of headless Chromium, for trying kernels: opened once, asked
// for one model after the other.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { findBrowser } from '../../src/runtime/web/packages.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** Native WebGPU, as transformers.js loads it. */
const BUILD = 'ort.webgpu.min.mjs';
const FLAGS = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

export interface PageAnswer {
  readonly lines: readonly string[];
  readonly values?: readonly number[];
  readonly failure?: string;
  readonly doing: 'load' | 'run';
}

/** Plain text, as it is evaluated in the page. */
const TASK = `async ({ model, feeds }) => {
  // The runtime keeps the console that it finds first.
  const lines = [];
  globalThis.logged = (words) => lines.push(words.join(' '));
  for (const method of ['log', 'info', 'warn', 'error', 'debug']) {
    console[method] = (...words) => globalThis.logged(words);
  }
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const arrays = { float32: Float32Array, float16: globalThis.Float16Array ?? Uint16Array,
    int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };
  let doing = 'load';
  try {
    const ort = await import('/ort/${BUILD}');
    ort.env.logLevel = 'verbose';
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(bytes(model), {
      executionProviders: ['webgpu'],
      graphOptimizationLevel: 'disabled',
      logSeverityLevel: 0,
      logVerbosityLevel: 1,
    });
    doing = 'run';
    const given = feeds.map(({ name, type, data, shape }) => [
      name, new ort.Tensor(type, new arrays[type](bytes(data).buffer), shape)]);
    try {
      const results = await session.run(Object.fromEntries(given));
      const first = Object.values(results)[0];
      return { lines, doing, values: Array.from(first.data, Number) };
    } finally {
      await session.release();
    }
  } catch (error) {
    return { lines, doing, failure: error instanceof Error ? error.message : String(error) };
  }
}`;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

export async function ask(page: Page, model: Uint8Array, feeds: readonly Tensor[]) {
  const argument = {
    model: base64(model),
    feeds: feeds.map((tensor, i) => ({
      name: `x${i + 1}`,
      type: tensor.dtype,
      data: base64(tensor.bytes()),
      shape: [...tensor.shape],
    })),
  };
  return (await page.evaluate(`(${TASK})(${JSON.stringify(argument)})`)) as PageAnswer;
}

/** A page over the files of the package. */
export async function openPage(): Promise<Page> {
  const dist = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  const server = createServer((request, response) => {
    const name = request.url ?? '/';
    const type = name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
    if (!name.startsWith('/ort/')) response.setHeader('Content-Type', 'text/html').end('<html>');
    else response.setHeader('Content-Type', type).end(readFileSync(join(dist, name.slice(5))));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const program = findBrowser(process.env['CHROME_PATH'], undefined);
  if (!program) throw new Error('no browser was found');
  const browser = await chromium.launch({ executablePath: program, args: FLAGS });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return page;
}
