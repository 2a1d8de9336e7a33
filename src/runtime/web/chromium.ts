// onnxruntime-web in headless Chromium: one browser for all tasks, one page for each, so that the
// memory of a task goes with it.

import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserType, Page } from 'playwright-core';
import { builtEntry } from '../location.ts';
import type { Executed } from './execute.ts';
import type { WebPackage } from './packages.ts';
import type { Adapter, PageSummary } from './page.ts';
import type { Carrier } from './runner.ts';
import { LoopbackServer } from './server.ts';
import type { WebProvider } from './task.ts';

/** The builds of onnxruntime-web with just what a provider needs. */
const BUILDS: Readonly<Record<WebProvider, string>> = {
  wasm: 'ort.wasm.min.mjs',
  webgpu: 'ort.webgpu.min.mjs',
};

const WEBGPU = ['--enable-unsafe-webgpu', '--enable-features=Vulkan'];
const SOFTWARE_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

export interface Driver {
  readonly chromium: BrowserType;
}

/** Loads playwright-core from where it was found. */
export function loadDriver(entry: string): Driver {
  return createRequire(entry)(entry) as Driver;
}

export class Chromium {
  readonly #browser: Browser;
  readonly #server: LoopbackServer;
  readonly #url: string;
  readonly version: string;
  /** What WebGPU computes on; undefined where there is nothing. */
  readonly adapter: Adapter | undefined;

  private constructor(
    browser: Browser,
    server: LoopbackServer,
    url: string,
    adapter: Adapter | undefined,
  ) {
    this.#browser = browser;
    this.#server = server;
    this.#url = url;
    this.version = browser.version();
    this.adapter = adapter;
  }

  /** Starts the browser, with the machine's own WebGPU if it has one and one in software if not. */
  static async start(driver: Driver, program: string, runtime: WebPackage): Promise<Chromium> {
    const server = new LoopbackServer(builtEntry('web/page'));
    const builds = /^ort(\.wasm|\.webgpu)\.min\.mjs$|^ort-wasm.*\.(mjs|wasm)$/;
    server.serveRuntime(
      runtime.dist,
      readdirSync(runtime.dist).filter((name) => builds.test(name)),
    );
    const url = await server.listen();
    const launch = (args: readonly string[]) =>
      // A signal ends this program as its own handlers say; the browser ends with it.
      driver.chromium.launch({
        executablePath: program,
        args: [...args],
        handleSIGINT: false,
      });
    try {
      let browser = await launch(WEBGPU);
      let adapter = await adapterOf(browser, url);
      if (!adapter) {
        await browser.close();
        browser = await launch(SOFTWARE_WEBGPU);
        adapter = await adapterOf(browser, url);
      }
      return new Chromium(browser, server, url, adapter);
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  get carrier(): Carrier {
    return {
      carryOut: async (task, feeds, timeoutMs) => {
        const served = this.#server.serveTask(task, feeds);
        const page = await openPage(this.#browser, this.#url);
        try {
          const ask = `xformPage.run('/ort/${BUILDS[task.provider]}', '${served.base}')`;
          const { answers } = await withinTime<PageSummary>(page, ask, timeoutMs);
          return { answers, outputs: served.outputs } satisfies Executed;
        } catch (error) {
          return { answers: [], outputs: [], problem: firstLine(error) };
        } finally {
          served.remove();
          await page.close();
        }
      },
      close: () => Promise.resolve(),
    };
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }
}

async function openPage(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction('globalThis.xformPage !== undefined');
  return page;
}

async function adapterOf(browser: Browser, url: string): Promise<Adapter | undefined> {
  const page = await openPage(browser, url);
  try {
    return (await page.evaluate('xformPage.adapter()')) as Adapter | undefined;
  } catch {
    return undefined;
  } finally {
    await page.close();
  }
}

/** Evaluates in the page; a page that crashes or takes too long fails. */
async function withinTime<T>(page: Page, ask: string, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const failing = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
    page.once('crash', () => reject(new Error('the page crashed, as it does out of memory')));
  });
  try {
    return await Promise.race([page.evaluate(ask) as Promise<T>, failing]);
  } finally {
    clearTimeout(timer);
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? text).replace(/^page\.evaluate:\s*(Error:\s*)?/, '');
}
