// WAV files and mel spectrograms against soundfile and librosa, see fixtures/data/make_sounds.py.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { frameCount, MelSpectrogram, parseMel } from '../../src/data/mel.ts';
import { openDataset } from '../../src/data/open.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { openWav, readWav } from '../../src/data/wav.ts';
import { type Dim, symbol } from '../../src/graph/index.ts';

const root = mkdtempSync(join(tmpdir(), 'xform-sound-'));
afterAll(() => rmSync(root, { recursive: true }));

interface Reference {
  readonly samples: Readonly<Record<string, number[]>>;
  readonly pcm: number[];
  readonly spectra: Readonly<Record<string, { frames: number; every7: number[][] }>>;
}

const reference: Reference = JSON.parse(readFileSync('fixtures/data/sounds.json', 'utf8'));
const RATE = 8000;

/** 16 bits, one channel; chunks that nobody knows stand before the samples. */
function wavBytes(samples: readonly number[], rate = RATE, extra = ''): Buffer {
  const chunk = (name: string, data: Buffer) => {
    const head = Buffer.alloc(8);
    head.write(name, 'latin1');
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
  };
  const format = Buffer.alloc(16);
  format.writeUInt16LE(1, 0);
  format.writeUInt16LE(1, 2);
  format.writeUInt32LE(rate, 4);
  format.writeUInt16LE(16, 14);
  const data = Buffer.from(Int16Array.from(samples).buffer);
  const odd = extra ? [chunk('LIST', Buffer.from(extra))] : [];
  const chunks = [chunk('fmt ', format), ...odd, chunk('data', data)];
  return Buffer.concat([chunk('RIFF', Buffer.from('WAVE')), ...chunks]);
}

function write(name: string, bytes: Uint8Array): string {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

describe('WAV', () => {
  it.each(Object.keys(reference.samples))('is read as soundfile reads it: %s', (name) => {
    const wav = openWav(join('fixtures/data/sounds', name));
    const expected = reference.samples[name] as number[];
    expect(wav).toMatchObject({ rate: RATE, channels: 2, frames: expected.length });
    const found = readWav(wav, expected.length + 2);
    expected.forEach((value, i) => {
      expect(found[i]).toBeCloseTo(value, 6);
    });
    expect([...found.slice(-2)]).toEqual([0, 0]);
  });

  it('may hold other chunks, and a length left open', () => {
    const bytes = wavBytes([1, -2, 3], RATE, 'odd');
    bytes.writeUInt32LE(0xffffffff, bytes.indexOf('data') + 4);
    const wav = openWav(write('open.wav', bytes));
    expect([...readWav(wav, 3)].map((value) => value * 32768)).toEqual([1, -2, 3]);
  });

  it.each<[string, Buffer]>([
    ['no RIFF', Buffer.from('hello, this is no sound at all')],
    ['an empty file', Buffer.alloc(0)],
    ['no samples', wavBytes([1]).subarray(0, 36)],
    ['a cut header', wavBytes([1]).subarray(0, 30)],
    ['12 bits', Buffer.from(wavBytes([1])).fill(12, 34, 35)],
    ['no channels', Buffer.from(wavBytes([1])).fill(0, 22, 24)],
  ])('refuses %s', (name, bytes) => {
    const path = write(`${name}.wav`, bytes);
    expect(() => openWav(path)).toThrow(
      expect.objectContaining({ code: 'data-broken', where: path }),
    );
  });
});

describe('mel spectrograms', () => {
  const wave = Float32Array.from(reference.pcm, (value) => value / 32768);

  it.each(Object.entries(reference.spectra))('are those of librosa: %s', (words, expected) => {
    const options = parseMel(words.split(','), RATE);
    const frames = frameCount(wave.length, options);
    expect(frames).toBe(expected.frames);
    const found = new MelSpectrogram(options, RATE).of(wave, frames);
    const differences = expected.every7.flatMap((row, m) =>
      row.map((value, i) => Math.abs((found[m * frames + 7 * i] as number) - value)),
    );
    expect(Math.max(...differences)).toBeLessThan(1e-4);
  });

  it('refuses what it does not know', () => {
    for (const bad of [
      'mel:0',
      'mel',
      'mel:4,fft=10,window=20',
      'mel:4,hops=3',
      'mel:4,log=x',
      'a',
    ]) {
      expect(() => parseMel(bad.split(','), RATE)).toThrow('is not a value for --features');
    }
  });
});

describe('a folder of sounds', () => {
  write('digits/one/a.wav', wavBytes([1, 2, 3, 4, 5]));
  write('digits/one/c.wav', wavBytes([9]));
  write('digits/two/b.wav', wavBytes([6, 7]));
  const digits = join(root, 'digits');

  async function open(path: string, shape: Dim[], options: Partial<DataOptions> = {}) {
    const input = { name: 'x', dtype: 'float32' as const, shape: [symbol('N'), ...shape] };
    const dataset = await openDataset(path, [input], { seed: 0, ...options });
    for await (const { feeds, targets } of dataset.batches(10)) {
      const x = feeds.get('x');
      return { x, labels: targets.get('labels')?.numbers(), summary: dataset.summary };
    }
    throw new Error('no batch');
  }

  it.each<[string, Dim[], Partial<DataOptions>]>([
    ['of the length of the model', [3], {}],
    ['with a channel', [1, 3], {}],
    ['of so many seconds', [symbol('T')], { seconds: 3 / RATE }],
    ['with a channel, of so many seconds', [1, symbol('T')], { seconds: 3 / RATE }],
  ])('gives waveforms %s', async (_, shape, options) => {
    const { x, labels } = await open(digits, shape, { ...options, scale: 32768 });
    expect(x?.shape.slice(1, -1)).toEqual(shape.slice(0, -1));
    expect(x?.numbers()).toEqual([1, 2, 3, 6, 7, 0, 9, 0, 0]);
    expect(labels).toEqual([0, 1, 0]);
  });

  it('gives spectrograms, frames or bands first', async () => {
    const features = ['mel:4', 'fft=8', 'hop=4'];
    const bands = await open(digits, [4, 2], { features });
    const frames = await open(digits, [1, 2, 4], { features });
    expect([bands.x?.shape, frames.x?.shape]).toEqual([
      [3, 4, 2],
      [3, 1, 2, 4],
    ]);
    const [a, b] = [bands.x?.numbers() ?? [], frames.x?.numbers() ?? []];
    expect([0, 1, 2, 3].map((m) => b[m])).toEqual([0, 1, 2, 3].map((m) => a[2 * m]));
    expect(bands.summary).toContain('at 8000 Hz, as 0.001 s, 4 mel bands in 2 frames');
  });

  it('has to know the length', async () => {
    await expect(open(digits, [symbol('T')])).rejects.toMatchObject({ code: 'sound-length-open' });
  });

  it('names what is broken, or leaves it out', async () => {
    const files = {
      'a.wav': wavBytes([1]),
      'b.wav': Buffer.from('x'),
      'c.wav': wavBytes([2], 16000),
    };
    for (const [name, bytes] of Object.entries(files)) write(`bad/${name}`, bytes);
    const bad = join(root, 'bad');
    await expect(open(bad, [2])).rejects.toMatchObject({ where: join(bad, 'b.wav') });
    const { x, labels, summary } = await open(bad, [2], { skipBad: true });
    expect([x?.shape, labels]).toEqual([[1, 2], undefined]);
    expect(summary).toContain('2 bad skipped: ');
  });
});
