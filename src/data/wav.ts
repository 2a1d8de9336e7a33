// RIFF WAVE files: PCM of 8, 16, 24 and 32 bits, floats of 32 and 64 bits. Format: IBM and Microsoft 1991,
// "Multimedia Programming Interface", and WAVEFORMATEXTENSIBLE.

import { fstatSync } from 'node:fs';
import { brokenSample } from '../errors/data.ts';
import { readAt, withFile } from './open-file.ts';

export interface Wav {
  readonly path: string;
  /** Samples per second. */
  readonly rate: number;
  readonly channels: number;
  /** Samples of each channel. */
  readonly frames: number;
  readonly encoding: Encoding;
  /** Where the samples begin in the file. */
  readonly start: number;
}

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

interface Encoding {
  /** Of one sample. */
  readonly bytes: number;
  read(bytes: DataView, offset: number): number;
}

/** By format and bits; numbers are scaled to -1 … 1. */
const ENCODINGS: Readonly<Record<string, Encoding>> = {
  [`${PCM}/8`]: { bytes: 1, read: (view, at) => (view.getUint8(at) - 128) / 2 ** 7 },
  [`${PCM}/16`]: { bytes: 2, read: (view, at) => view.getInt16(at, true) / 2 ** 15 },
  [`${PCM}/24`]: {
    bytes: 3,
    read: (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 2 ** 16) / 2 ** 23,
  },
  [`${PCM}/32`]: { bytes: 4, read: (view, at) => view.getInt32(at, true) / 2 ** 31 },
  [`${FLOAT}/32`]: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  [`${FLOAT}/64`]: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};

/** Reads the header; the samples stay in the file. */
export function openWav(path: string): Wav {
  return withFile(path, (file) => {
    const { size } = fstatSync(file);
    const riff = viewAt(file, 0, Math.min(12, size));
    if (textAt(riff, 0) !== 'RIFF' || textAt(riff, 8) !== 'WAVE') {
      throw brokenSample(path, 'this is not a WAV file');
    }
    let format: { code: number; channels: number; rate: number; bits: number } | undefined;
    for (let at = 12; at + 8 <= size; ) {
      const head = viewAt(file, at, 8);
      const length = head.getUint32(4, true);
      const start = at + 8;
      if (textAt(head, 0) === 'fmt ') format = readFormat(path, file, start, length, size);
      if (textAt(head, 0) === 'data') {
        if (!format) throw brokenSample(path, 'the samples come before their format');
        const { code, channels, rate, bits } = format;
        const encoding = ENCODINGS[`${code}/${bits}`];
        if (!encoding)
          throw brokenSample(path, `samples of format ${code} with ${bits} bits cannot be read`);
        // Programs that write to a pipe leave the length open.
        const bytes = Math.min(length, size - start);
        const frames = Math.floor(bytes / (encoding.bytes * channels));
        return { path, rate, channels, frames, encoding, start };
      }
      // Chunks begin at even positions.
      at = start + length + (length % 2);
    }
    throw brokenSample(path, 'the file has no samples');
  });
}

function readFormat(path: string, file: number, start: number, length: number, size: number) {
  if (length < 16 || start + length > size) throw brokenSample(path, 'the format is cut off');
  const format = viewAt(file, start, Math.min(length, 40));
  const code = format.getUint16(0, true);
  const channels = format.getUint16(2, true);
  const rate = format.getUint32(4, true);
  if (channels === 0 || rate === 0)
    throw brokenSample(path, 'the file has no channels, or no rate');
  const isExtensible = code === EXTENSIBLE && format.byteLength >= 26;
  const own = isExtensible ? format.getUint16(24, true) : code;
  return { code: own, channels, rate, bits: format.getUint16(14, true) };
}

/** The first `length` samples, the mean of all channels; silence after the end. */
export function readWav(wav: Wav, length: number): Float32Array<ArrayBuffer> {
  const { path, channels, encoding, start } = wav;
  const frames = Math.min(wav.frames, length);
  const width = encoding.bytes * channels;
  const view = withFile(path, (file) => viewAt(file, start, frames * width));
  if (view.byteLength < frames * width)
    throw brokenSample(path, 'the file ended while it was read');
  const samples = new Float32Array(length);
  for (let i = 0; i < frames; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += encoding.read(view, i * width + c * encoding.bytes);
    samples[i] = sum / channels;
  }
  return samples;
}

function viewAt(file: number, start: number, length: number): DataView {
  const bytes = readAt(file, start, length);
  return new DataView(bytes.buffer, 0, bytes.byteLength);
}

function textAt(view: DataView, offset: number): string {
  if (view.byteLength < offset + 4) return '';
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(offset + i)));
}
