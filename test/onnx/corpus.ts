// Every model file there is to test with: the fixtures, and what stands beside the checkout.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sharedPath } from '../helpers/shared.ts';

/** Files of an archive of shared data by ending, unpacked once per machine. */
export function unpacked(archive: string, ending: string): string[] {
  const path = sharedPath('data', archive);
  if (!path) return [];
  const target = join(tmpdir(), `xform-${archive.replace('.tar.gz', '')}`);
  if (!existsSync(target)) {
    const staging = `${target}.${process.pid}`;
    mkdirSync(staging);
    execFileSync('tar', ['xzf', path, '-C', staging]);
    renameSync(staging, target);
  }
  return filesIn(target, ending);
}

function filesIn(folder: string, ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(folder, name));
}

export function realModels(): string[] {
  const shared = sharedPath('models');
  return [...filesIn('fixtures', '.onnx'), ...(shared ? filesIn(shared, '.onnx') : [])];
}

export const NODE_TESTS = 'onnx118_node_tests.tar.gz';
export const LIGHT_MODELS = 'onnx_backend_simple_pytorch_light.tar.gz';

export function allModels(): string[] {
  return [...realModels(), ...unpacked(NODE_TESTS, '.onnx'), ...unpacked(LIGHT_MODELS, '.onnx')];
}
