// Bundles the program: one file per command and shared chunks, so that `--help` loads little.
// Then writes oclif's manifest, which spares loading the commands to list them.

import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Plugin } from '@oclif/core';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const staging = join(root, `dist.${process.pid}`);
const target = join(root, 'dist');

const commands = readdirSync(join(root, 'src/commands'), { recursive: true })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => `src/commands/${file}`);
const processes = [
  'src/runtime/worker.ts',
  'src/runtime/child.ts',
  'src/runtime/web/child.ts',
  'src/threads/worker.ts',
];
// Looked for at run time: optional for users.
const optional = ['onnxruntime-web', 'playwright-core'];

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['src/cli/main.ts', ...commands, ...processes],
  outdir: staging,
  outbase: 'src',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minify: true,
  keepNames: true,
  legalComments: 'none',
  external: [
    'onnxruntime-node',
    'sharp',
    ...optional,
    'typescript',
    'ts-node',
    'tsx',
    '@oclif/plugin-*',
  ],
  banner: {
    js: "import { createRequire as _createRequire } from 'node:module'; const require = _createRequire(import.meta.url);",
  },
  logLevel: 'warning',
  metafile: true,
});

// What runs inside a browser's page has nothing of Node.
await build({
  absWorkingDir: root,
  entryPoints: ['src/runtime/web/page.ts'],
  outdir: join(staging, 'runtime/web'),
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  logLevel: 'warning',
});

writeFileSync(join(staging, 'THIRD-PARTY-LICENSES.txt'), licensesOf(Object.keys(metafile.inputs)));

// The finished build replaces the old one at once: programs started meanwhile find either.
const old = `${target}.old.${process.pid}`;
if (existsSync(target)) renameSync(target, old);
renameSync(staging, target);
rmSync(old, { recursive: true, force: true });

rmSync(join(root, 'oclif.manifest.json'), { force: true });
const plugin = new Plugin({ root, ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();
writeFileSync(join(root, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest, null, 1)}\n`);

// Help is rendered once, here: shown as a file it takes half the time.
mkdirSync(join(target, 'help'));
const ids = Object.keys(plugin.manifest.commands).map((id) => id.replaceAll(':', ' '));
const topics = ids.filter((id) => id.includes(' ')).map((id) => id.slice(0, id.lastIndexOf(' ')));
for (const id of new Set(['xform', ...ids, ...topics])) {
  const args = id === 'xform' ? ['--help'] : [...id.split(' '), '--help'];
  const text = execFileSync(process.execPath, [join(root, 'bin/run.js'), ...args], {
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '80' },
    encoding: 'utf8',
  });
  // The section names the machine of the build; `--version` tells about the user's.
  writeFileSync(join(target, 'help', `${id}.txt`), text.replace(/VERSION\n.*\n\n/, ''));
}

/** The licences of the packages that are bundled: their notices must travel with the code. */
function licensesOf(inputs) {
  const packages = new Set(
    inputs.flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
  );
  return [...packages]
    .sort()
    .map((folder) => {
      const { name, version, license } = JSON.parse(
        readFileSync(join(root, folder, 'package.json'), 'utf8'),
      );
      const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
      const text = file ? readFileSync(join(root, folder, file), 'utf8') : `Licence: ${license}`;
      return `${name} ${version}\n\n${text.trim()}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}
