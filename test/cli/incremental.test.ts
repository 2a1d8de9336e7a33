// Training on new classes: what the old ones lose, and what keeps them.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { unzipSync } from 'fflate';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-incremental-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 64;

/** Writes the digits whose label passes. */
function writeDigits(part: string, name: string, wanted: (label: number) => boolean): void {
  const files = unzipSync(readFileSync(`fixtures/digits-${part}.npz`));
  const body = (entry: string) => new Uint8Array(files[entry]?.slice(128) ?? []).buffer;
  const images = new Float32Array(body('image.npy'));
  const labels = [...new BigInt64Array(body('labels.npy'))].map(Number);
  const kept = labels.flatMap((label, i) => (wanted(label) ? [i] : []));
  const image = new Float32Array(kept.length * SIZE);
  kept.forEach((from, to) => {
    image.set(images.subarray(from * SIZE, (from + 1) * SIZE), to * SIZE);
  });
  const label = BigInt64Array.from(kept, (i) => BigInt(labels[i] as number));
  writeFileSync(
    at(name),
    npzBytes({
      image: npyBytes('<f4', [kept.length, 1, 8, 8], image),
      labels: npyBytes('<i8', [kept.length], label),
    }),
  );
}

beforeAll(async () => {
  const isOld = (label: number) => label < 5;
  writeDigits('train', 'old.npz', isOld);
  writeDigits('train', 'new.npz', (label) => !isOld(label));
  writeDigits('test', 'old-test.npz', isOld);
  const sizes = ['--in', '1x8x8', '--hidden', '32', '--classes', '5'];
  await xform(['init', 'mlp', ...sizes, '-o', at('start.onnx')]);
  const flags = ['--data', at('old.npz'), '--epochs', '8', '--lr', '0.005'];
  const run = await xform(['train', at('start.onnx'), ...flags, '-o', at('known.onnx')]);
  expect(run.code).toBe(0);
}, 60_000);

const learn = (out: string, ...flags: string[]) => {
  const data = ['--data', at('new.npz'), '--val', at('old-test.npz'), '--lr', '0.003'];
  const more = ['--expand-classes', '10', '--json', '-o', at(out)];
  return xform(['train', at('known.onnx'), ...data, ...more, ...flags]);
};

async function accuracyOnOld(...flags: string[]): Promise<number> {
  const run = await learn('more.onnx', '--epochs', '4', ...flags);
  expect(run.code).toBe(0);
  const { metrics } = JSON.parse(run.stdout) as {
    metrics: { validation: { accuracy: number } };
  };
  return metrics.validation.accuracy;
}

describe('new classes', () => {
  it('cost the old ones nearly all without protection, and less with each', async () => {
    const plain = await accuracyOnOld();
    expect(plain).toBeLessThan(0.4);
    const old = at('old.npz');
    for (const flags of [['--replay', old, '--replay-limit', '100'], ['--lwf'], ['--ewc', old]]) {
      expect(await accuracyOnOld(...flags)).toBeGreaterThan(plain + 0.3);
    }
  }, 120_000);

  it('come back to the same bytes after a stop, with all protections', async () => {
    const old = at('old.npz');
    const flags = ['--replay', old, '--replay-limit', '50', '--lwf'];
    const more = ['--ewc', old, '--schedule', 'constant'];
    const share = ['--replay-share', '0.3'];
    const run = (out: string, steps: number, ...rest: string[]) =>
      learn(out, ...flags, ...more, '--steps', `${steps}`, ...rest);
    await run('whole.onnx', 50, ...share);
    await run('parts.onnx', 27, ...share);
    const resumed = await run('parts.onnx', 50, ...share, '--resume');
    expect(resumed.stderr).not.toMatch(/error/);
    const other = await run('parts.onnx', 60, '--replay-share', '0.5', '--resume');
    expect(other.stderr).toMatch(/its replay-share is 0.3, not 0.5/);
    expect(readFileSync(at('parts.onnx')).equals(readFileSync(at('whole.onnx')))).toBe(true);
  }, 120_000);

  it.each([
    [
      'a share that leaves nothing new',
      ['--replay', 'old.npz', '--replay-share', '1'],
      2,
      /below 1/,
    ],
    [
      'a share of no sample',
      ['--replay', 'old.npz', '--replay-share', '0.001'],
      2,
      /leaves no room/,
    ],
    ['old data without end', ['--replay', 'random'], 3, /number of samples/],
    ['a limit without old data', ['--replay-limit', '5'], 2, /--replay/],
    ['weights of its own beside adapters', ['--ewc', 'old.npz', '--lora', '2'], 2, /lora/],
    ['losses of pairs', ['--ewc', 'old.npz', '--objective', 'contrastive'], 2, /--lwf/],
  ] as const)(
    'refuse %s',
    async (_, flags, code, message) => {
      const args = flags.map((flag) => (flag === 'old.npz' ? at(flag) : flag));
      const run = await learn('no.onnx', ...args);
      expect(run.stderr).toMatch(message);
      expect(run.code).toBe(code);
      expect(existsSync(at('no.onnx'))).toBe(false);
    },
    30_000,
  );
});
