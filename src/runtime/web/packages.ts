// Where onnxruntime-web, playwright-core and a browser are. All three are optional: they are looked
// for when they are needed, in the folders of the user and of xform, and never bundled.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';

/** What checks in web runtimes need, with the version that xform was tried with. */
export const INSTALL_RUNTIME = 'npm install --save-dev onnxruntime-web@1.30.0';
export const INSTALL_DRIVER = 'npm install --save-dev playwright-core';
export const INSTALL_BROWSER =
  'Install Chromium or Chrome (apt-get install chromium), or name its program in CHROME_PATH.';

export interface WebPackage {
  /** The folder with the builds and their .wasm files. */
  readonly dist: string;
  readonly version: string;
}

/** onnxruntime-web, from the first folder that has it. */
export function findWebRuntime(folders: readonly string[]): WebPackage | undefined {
  const entry = resolveFrom('onnxruntime-web', folders);
  if (!entry) return undefined;
  const dist = dirname(entry);
  const described = JSON.parse(readFileSync(join(dist, '..', 'package.json'), 'utf8'));
  return { dist, version: String(described.version) };
}

/** The entry of the package that drives browsers: playwright-core, or playwright which holds it. */
export function findDriver(folders: readonly string[]): string | undefined {
  return resolveFrom('playwright-core', folders) ?? resolveFrom('playwright', folders);
}

const BROWSERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/google-chrome-stable',
    '/snap/bin/chromium',
    '/usr/bin/microsoft-edge',
  ],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ],
  win32: [
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
  ],
};

/** The browser to start: the one named, what playwright fetched, or one that is usually there. */
export function findBrowser(named?: string, fetched?: string): string | undefined {
  if (named) return existsSync(named) ? named : undefined;
  return [fetched ?? '', ...(BROWSERS[process.platform] ?? [])].find(
    (path) => path !== '' && existsSync(path),
  );
}

function resolveFrom(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    try {
      return createRequire(join(resolve(folder), 'package.json')).resolve(name);
    } catch {
      // The next folder may have it.
    }
  }
  return undefined;
}
