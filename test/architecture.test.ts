// The rule of imports between folders, read from the table in docs/architecture.md, and no cycles.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = process.cwd();
const FILES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join('src', file));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** Imports between our own files; a line of only types is erased before anything runs. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = text.matchAll(
    /(?:import|export)\s+(type\s+)?[^'";]*?from\s+'(\.[^']+)'|import\(\s*'(\.[^']+)'\s*\)/g,
  );
  return [...found].map((match) => ({
    from: file,
    to: relative(ROOT, join(ROOT, dirname(file), match[2] ?? match[3] ?? '')),
    typeOnly:
      match[1] !== undefined || /^import\s*\{(\s*type\s+\w+( as \w+)?,?)+\s*\}/.test(match[0]),
  }));
}

const folderOf = (file: string) => file.split('/')[1] ?? '';
const imports = FILES.flatMap(importsOf);

/** Rows `| folder | may import |`; "as types" after a name allows types only. */
function allowedImports(): Map<string, Map<string, 'values' | 'types'>> {
  const text = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const section = text.slice(text.indexOf('## Who may import whom'));
  const rows = section.matchAll(/^\| `([a-z]+)` \| ([^|]+) \|/gm);
  return new Map(
    [...rows].map(([, folder, list]) => {
      const names = [...(list ?? '').matchAll(/`([a-z]+)`( as types)?/g)];
      return [folder ?? '', new Map(names.map((n) => [n[1] ?? '', n[2] ? 'types' : 'values']))];
    }),
  );
}

test('imports follow the table in docs/architecture.md', () => {
  const allowed = allowedImports();
  const folders = new Set(FILES.map(folderOf));
  expect([...folders].filter((folder) => !allowed.has(folder))).toEqual([]);
  const broken = imports.filter(({ from, to, typeOnly }) => {
    const [source, target] = [folderOf(from), folderOf(to)];
    if (source === target || target === 'errors') return false;
    const right = allowed.get(source)?.get(target);
    return right === undefined || (right === 'types' && !typeOnly);
  });
  expect(broken.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test('only the runtime imports onnxruntime, only the file format imports protobuf', () => {
  const offenders = FILES.filter((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    return (
      (/from 'onnxruntime|import\('onnxruntime/.test(text) && folderOf(file) !== 'runtime') ||
      (/from 'protobufjs|from 'onnx-proto/.test(text) && folderOf(file) !== 'onnx')
    );
  });
  expect(offenders).toEqual([]);
});

test('no import cycles between folders', () => {
  const edges = new Map<string, Set<string>>();
  for (const { from, to, typeOnly } of imports) {
    if (typeOnly || folderOf(from) === folderOf(to)) continue;
    const targets = edges.get(folderOf(from)) ?? new Set();
    edges.set(folderOf(from), targets.add(folderOf(to)));
  }
  const cycles: string[] = [];
  const visit = (folder: string, trail: readonly string[]): void => {
    if (trail.includes(folder)) cycles.push([...trail, folder].join(' -> '));
    else for (const next of edges.get(folder) ?? []) visit(next, [...trail, folder]);
  };
  for (const folder of edges.keys()) visit(folder, []);
  expect(cycles).toEqual([]);
});
