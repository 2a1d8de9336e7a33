// What a run that cannot go on leaves behind: the checkpoint it had.

import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-train-stops-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ROWS = 64;
/** y = a - 2 b; `broken`: a row without its a. */
function table(name: string, broken?: number): void {
  const rows = Array.from({ length: ROWS }, (_, i) => {
    const [a, b] = [Math.sin(i), Math.cos(3 * i)];
    return `${i === broken ? '' : a},${b},${a - 2 * b}`;
  });
  writeFileSync(at(name), ['a,b,y', ...rows].join('\n'));
}

const train = (data: string, output: string, ...flags: string[]) =>
  xform([
    ...['train', at('mlp.onnx'), '--data', at(data), '--label', 'y', '--objective', 'regress'],
    ...['--batch', '4', '--checkpoint-every', '1', '-o', at(output), ...flags],
  ]);

beforeAll(async () => {
  const sizes = ['--in', '2', '--hidden', '8', '--classes', '1'];
  expect((await xform(['init', 'mlp', ...sizes, '-o', at('mlp.onnx')])).code).toBe(0);
}, 30_000);

function stepOf(checkpoint: string): number {
  const bytes = readFileSync(checkpoint);
  const header = bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)));
  const { __metadata__ } = JSON.parse(header) as { __metadata__: { facts: string } };
  return (JSON.parse(__metadata__.facts) as { position: { step: number } }).position.step;
}

describe('a run that cannot go on', () => {
  it('keeps the checkpoint of the last step whose loss was a number', async () => {
    table('broken.csv', 40);
    const run = await train('broken.csv', 'broken.onnx');
    const said = /infinite at step (\d+); "input" was the first tensor/.exec(run.stderr);
    expect(run.code).toBe(3);
    const step = Number(said?.[1]);
    expect(step).toBeGreaterThan(1);
    expect(stepOf(at('broken.onnx.checkpoint'))).toBe(step - 1);
    expect(existsSync(at('broken.onnx'))).toBe(false);
  }, 30_000);

  const isFullAtHand = existsSync('/dev/full');
  (isFullAtHand ? it : it.skip)(
    'leaves the checkpoint before where the disk is full, and goes on from it',
    async () => {
      table('whole.csv');
      const [checkpoint, output] = [at('full.onnx.checkpoint'), 'full.onnx'];
      expect((await train('whole.csv', output, '--steps', '5')).code).toBe(0);
      const before = readFileSync(checkpoint);
      // What is written aside first ends in a device without room.
      symlinkSync('/dev/full', `${checkpoint}.part`);
      const run = await train('whole.csv', output, '--steps', '9', '--resume');
      expect(run.code).toBe(3);
      expect(run.stderr).toMatch(/checkpoint ".+" could not be written: ENOSPC/);
      expect(readFileSync(checkpoint).equals(before)).toBe(true);
      expect((await train('whole.csv', output, '--steps', '9', '--resume')).code).toBe(0);
      expect(stepOf(checkpoint)).toBe(9);
    },
    30_000,
  );
});
