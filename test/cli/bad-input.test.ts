// Whatever is given as a model: the program works, or ends with exit code 3 and one error block that
// says what is wrong. Never a stack trace, a hang, or "this is a bug".

import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Random } from '../../src/tensor/random.ts';
import { type Run, xform } from '../helpers/cli.ts';
import { BROKEN, nested, ODD, type Odd, OVERLONG, smallModel } from './bad-input.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform bad ü-'));
const digits = readFileSync('fixtures/digits.onnx');
const OUTPUT = 'written.onnx';
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const COMMANDS = ['inspect', 'optimize', 'verify'] as const;
type CommandName = (typeof COMMANDS)[number];
let files = 0;

/** Runs a command on a model in a folder of its own, where `weights.bin` has 24 bytes. */
async function run(command: CommandName, model: Uint8Array, more: string[] = []): Promise<Run> {
  files += 1;
  const own = join(folder, String(files));
  mkdirSync(own);
  const path = join(own, 'mödel 1.onnx');
  writeFileSync(path, model);
  const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
  writeFileSync(join(own, 'weights.bin'), new Uint8Array(weights.buffer));
  const result = await xform([...argsOf(command, path, join(own, OUTPUT)), ...more]);
  // A refused model leaves nothing behind.
  const left = readdirSync(own).filter((name) => !['mödel 1.onnx', 'weights.bin'].includes(name));
  expect(left).toEqual(result.code === 0 && command === 'optimize' ? [OUTPUT] : []);
  return result;
}

function argsOf(command: CommandName, path: string, output: string): string[] {
  if (command === 'verify') return ['verify', path, path];
  return command === 'optimize' ? ['optimize', path, '-o', output] : ['inspect', path];
}

/** One block: what is wrong, where, what to do. */
const BLOCK = /^error: [^\n]+(\n {2}at: [^\n]+)?(\n {2}try: [^\n]+)?\n$/;

function expectClean(result: Run, codes: readonly number[]): void {
  const { code, stdout, stderr } = result;
  const seen = `${code}\n${stderr}${stdout}`;
  expect(seen).not.toMatch(/\n {4}at |this is a bug|undefined|\[object/i);
  expect({ code, stderr }).toEqual({ code: expect.any(Number), stderr });
  expect(codes).toContain(code);
  if (code === 3) {
    expect(stderr).toMatch(BLOCK);
    expect(stdout).toBe('');
  }
}

/** Two at a time: the machine has two cores. */
async function inPairs<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all([worker(), worker()]);
}

describe.each(COMMANDS)('%s refuses', (command) => {
  it.each<Odd>([
    { what: 'an empty file', bytes: new Uint8Array() },
    { what: 'a picture', bytes: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex') },
    { what: 'text', bytes: Buffer.from('{"nodes": []}\n'.repeat(100)) },
    { what: 'a page from the web', bytes: Buffer.from('<!DOCTYPE html><html></html>') },
    {
      what: 'a pointer of Git LFS',
      bytes: Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n'),
    },
    { what: 'zeros', bytes: new Uint8Array(1000) },
    ...OVERLONG,
  ])('$what', async ({ bytes }) => {
    expectClean(await run(command, bytes), [3]);
  });

  it('a folder', async () => {
    expectClean(await xform(argsOf(command, folder, join(folder, OUTPUT))), [3]);
  });

  it('a file that is not there', async () => {
    const result = await xform(argsOf(command, join(folder, 'none.onnx'), join(folder, OUTPUT)));
    expectClean(result, [3]);
    expect(result.stderr).toContain('none.onnx');
  });

  (process.getuid?.() === 0 ? it.skip : it)('a file it may not read', async () => {
    const path = join(folder, `secret-${command}.onnx`);
    writeFileSync(path, smallModel());
    chmodSync(path, 0);
    expectClean(await xform(argsOf(command, path, join(folder, OUTPUT))), [3]);
  });

  it('says so in JSON, too', async () => {
    const { code, stdout, stderr } = await run(command, Buffer.from('no model'), ['--json']);
    expect(code).toBe(3);
    expect(stderr).toMatch(BLOCK);
    const { error } = JSON.parse(stdout);
    expect(error.message).toBeTruthy();
    expect(error.code).toMatch(/^[a-z0-9-]+$/);
    expect(stderr).toContain(error.message);
  });
});

describe('broken structure', () => {
  // Looking at a broken model is what `inspect` is for.
  it.each(BROKEN)('inspect sees $what', async ({ bytes, seen }) => {
    const result = await run('inspect', bytes);
    expectClean(result, [0, 3]);
    expect(result.code === 0 ? result.stdout : result.stderr).toMatch(seen);
  });

  it.each(BROKEN)('verify refuses $what', async ({ bytes }) => {
    expectClean(await run('verify', bytes), [3]);
  });

  it.each(BROKEN)('optimize refuses $what, or works', async ({ bytes, isSound }) => {
    expectClean(await run('optimize', bytes), isSound ? [0, 3] : [3]);
  });
});

describe.each(COMMANDS)('%s works with', (command) => {
  it.each(ODD)('$what', async ({ bytes }) => expectClean(await run(command, bytes), [0]));
});

describe('damage', () => {
  it.each(COMMANDS)('%s survives nesting without end', async (command) => {
    expectClean(await run(command, nested(10_000)), [3]);
  });

  it.each([
    ['inspect', 63],
    ['optimize', 3],
    ['verify', 3],
  ] as const)('%s refuses a file cut off at each of the first %d/64', async (command, count) => {
    const cuts = Array.from({ length: count }, (_, i) =>
      Math.floor((digits.length * (i + 1)) / 64),
    );
    await inPairs(cuts, async (at) => {
      expectClean(await run(command, digits.subarray(0, at)), [3]);
    });
  });

  it.each([
    ['inspect', 40],
    ['optimize', 8],
    ['verify', 8],
  ] as const)('%s survives flipped bits in %d files', async (command, count) => {
    const random = new Random(0, 'flips');
    const flipped = Array.from({ length: count }, () => {
      const copy = Uint8Array.from(digits);
      // Most bytes are weights, where any bit will do: half of the flips go to the structure.
      for (const range of [digits.length, 4000]) {
        const at = random.integer(range);
        copy[at] = (copy[at] ?? 0) ^ (1 << random.integer(8));
      }
      return copy;
    });
    await inPairs(flipped, async (bytes) => expectClean(await run(command, bytes), [0, 3]));
  });
});
