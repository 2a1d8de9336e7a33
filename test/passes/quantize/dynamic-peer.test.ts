// Scales and zero points are those of onnxruntime's quantize_dynamic, to one unit in the last place.
// Runs where a Python environment with it stands in .peers.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { architectureNamed, type Choices } from '../../../src/archs/index.ts';
import type { Model } from '../../../src/graph/index.ts';
import { readModel, writeModel } from '../../../src/onnx/index.ts';
import { quantized } from './dynamic-helper.ts';

const PYTHON = resolve('.peers/bin/python');
const hasPeers = existsSync(PYTHON);
if (!hasPeers) process.stdout.write('skipped: there is no Python with onnxruntime in .peers\n');

const folder = mkdtempSync(join(tmpdir(), 'xform-dynamic-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TEXT = { hidden: [48], layers: 2, heads: 3, vocab: 60, seq: 32 };

const built = (arch: string, choices: Partial<Choices>) => () =>
  architectureNamed(arch).build(choices, 1);
const fixture = (name: string) => () => readModel(resolve('fixtures', name));

const MODELS: [string, () => Model][] = [
  ['bert', built('bert', { ...TEXT, mlpDim: 192 })],
  ['gpt', built('gpt', TEXT)],
  [
    'vit',
    built('vit', { in: [3, 32, 32], patch: 8, hidden: [48], layers: 2, heads: 4, mlpDim: 96 }),
  ],
  ['lstm', built('lstm', { in: [20], hidden: [32], layers: 2, bidirectional: true })],
  ['mlp', built('mlp', { in: [40], hidden: [64, 48] })],
  ['digits', fixture('digits.onnx')],
];

const SETTINGS = {
  'int8 per channel': { weights: 'int8', perChannel: true },
  int8: { weights: 'int8', perChannel: false },
  uint8: { weights: 'uint8', perChannel: false },
} as const;

interface Parameters {
  readonly type: string;
  readonly values: readonly number[];
}

/** By model, setting and initializer. */
type Found = Record<string, Record<string, Record<string, Parameters>>>;

let theirs: Found | undefined;

beforeAll(async () => {
  if (!hasPeers) return;
  for (const [name, build] of MODELS) await writeModel(build(), join(folder, `${name}.onnx`));
  const script = resolve('test/passes/quantize/dynamic-peer.py');
  const args = [script, folder, ...MODELS.map(([name]) => name)];
  const { stdout } = await promisify(execFile)(PYTHON, args, { maxBuffer: 1 << 28 });
  if (!stdout.includes('missing')) theirs = JSON.parse(stdout) as Found;
});

/** Whether two float32 are the same or neighbours. */
function areNear(a: number, b: number): boolean {
  return Math.abs(a - b) <= Math.abs(b) * 2 ** -23;
}

(hasPeers ? it : it.skip).each(MODELS)('%s', async (name, build) => {
  if (!theirs) return;
  let compared = 0;
  for (const [setting, { weights, perChannel }] of Object.entries(SETTINGS)) {
    const expected = theirs[name]?.[setting] ?? {};
    // It quantises convolutions always, and has one scale for them.
    const options = { weights, perChannel, convolutions: !perChannel };
    const { model } = await quantized(build(), options);
    for (const { name: own, data } of model.graph.initializers) {
      const peer = expected[own];
      // Its tables are uint8, whatever is asked for.
      const type = expected[own.replace(/_scale$/, '_zero_point')]?.type;
      if (!peer || !data || type !== weights) continue;
      const values = data.numbers();
      expect([own, values.length]).toEqual([own, peer.values.length]);
      const isZero = own.endsWith('_zero_point');
      const wrong = values.filter((value, i) => {
        const other = peer.values[i] ?? Number.NaN;
        return isZero ? value !== other : !areNear(value, other);
      });
      expect([own, wrong]).toEqual([own, []]);
      compared += 1;
    }
  }
  expect(compared).toBeGreaterThan(6);
});
