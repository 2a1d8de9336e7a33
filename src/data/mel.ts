// Log-mel spectrograms: short-time Fourier transform, triangular filters on the mel scale, logarithm.
// Formulas and defaults as in librosa (McFee et al. 2015), feature.melspectrogram; HTK's scale after Young
// et al., The HTK Book.

import FFT from 'fft.js';
import { badFlagValue } from '../errors/usage.ts';

export interface MelOptions {
  readonly mels: number;
  /** Samples: of a transform, of the Hann window in it, from one frame to the next. */
  readonly fft: number;
  readonly window: number;
  readonly hop: number;
  /** Hz. */
  readonly low: number;
  readonly high: number;
  readonly scale: 'slaney' | 'htk';
  /** Filters of equal area, or of equal height. */
  readonly norm: 'slaney' | 'none';
  readonly power: number;
  /** Decibels, natural logarithm, logarithm to base 10; of at least 1e-10. */
  readonly log: 'db' | 'ln' | 'log10' | 'none';
  /** What stands before and after the sound, half a transform long. */
  readonly edge: 'zero' | 'reflect';
}

const FLOOR = 1e-10;
const CHOICES = {
  scale: ['slaney', 'htk'],
  norm: ['slaney', 'none'],
  log: ['db', 'ln', 'log10', 'none'],
  edge: ['zero', 'reflect'],
} as const;
const AMOUNTS = ['mel', 'fft', 'window', 'hop', 'low', 'high', 'power'];

/**
 * `mel:80,fft=512,window=400,hop=160,low=0,high=8000,scale=htk,norm=none,power=2,log=db,edge=reflect`.
 * Windows of 25 ms every 10 ms unless given.
 */
export function parseMel(words: readonly string[], rate: number): MelOptions {
  const pairs = words.map((word, i) => (i === 0 ? word.split(':', 2) : word.split('=', 2)));
  const given = new Map(pairs.map(([key = '', value = '']) => [key, value]));
  const isKnown = [...given].every(([key, value]) =>
    key in CHOICES
      ? (CHOICES[key as keyof typeof CHOICES] as readonly string[]).includes(value)
      : AMOUNTS.includes(key) && value !== '' && Number(value) >= 0,
  );
  const amount = (key: string, usual: number) => Number(given.get(key) ?? usual);
  const choice = <K extends keyof typeof CHOICES>(key: K) =>
    (given.get(key) ?? CHOICES[key][0]) as (typeof CHOICES)[K][number];
  const window = amount('window', given.has('fft') ? amount('fft', 0) : Math.round(rate / 40));
  const options: MelOptions = {
    mels: amount('mel', 0),
    window,
    fft: amount('fft', 2 ** Math.ceil(Math.log2(window))),
    hop: amount('hop', Math.round(rate / 100)),
    low: amount('low', 0),
    high: amount('high', rate / 2),
    power: amount('power', 2),
    scale: choice('scale'),
    norm: choice('norm'),
    log: choice('log'),
    edge: choice('edge'),
  };
  const { mels, fft, hop, low, high } = options;
  const whole = [mels, fft, hop, window].every((value) => Number.isInteger(value) && value > 0);
  if (isKnown && whole && window <= fft && low < high) return options;
  throw badFlagValue('features', words.join(','), 'how, as in --features mel:80,fft=512,hop=160');
}

/** Frames of so many samples: the first is centred on the first sample. */
export function frameCount(samples: number, { hop }: MelOptions): number {
  return 1 + Math.floor(samples / hop);
}

export class MelSpectrogram {
  readonly options: MelOptions;
  /** Filters [mels][bins], from their first bin on. */
  readonly #filters: readonly { readonly first: number; readonly weights: Float64Array }[];
  readonly #window: Float64Array;
  readonly #transform: (frame: Float64Array) => Float64Array;

  constructor(options: MelOptions, rate: number) {
    this.options = options;
    this.#filters = melFilters(options, rate);
    this.#window = hannWindow(options);
    this.#transform = squaredSpectrum(options.fft);
  }

  /** [mels, frames] of samples, or [frames, mels]. */
  of(samples: Float32Array, frames: number, isTimeFirst = false): Float32Array<ArrayBuffer> {
    const { mels, fft, hop, power, edge } = this.options;
    const result = new Float32Array(mels * frames);
    const frame = new Float64Array(fft);
    for (let t = 0; t < frames; t++) {
      for (let i = 0; i < fft; i++) {
        const at = t * hop + i - Math.floor(fft / 2);
        frame[i] = sampleAt(samples, at, edge) * (this.#window[i] as number);
      }
      const spectrum = this.#transform(frame);
      if (power !== 2) for (const [i, v] of spectrum.entries()) spectrum[i] = v ** (power / 2);
      this.#filters.forEach(({ first, weights }, m) => {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += (weights[k] as number) * (spectrum[first + k] as number);
        }
        result[isTimeFirst ? t * mels + m : m * frames + t] = this.#logarithm(sum);
      });
    }
    return result;
  }

  #logarithm(value: number): number {
    const { log } = this.options;
    if (log === 'none') return value;
    const above = Math.max(value, FLOOR);
    if (log === 'ln') return Math.log(above);
    return Math.log10(above) * (log === 'db' ? 10 : 1);
  }
}

function sampleAt(samples: Float32Array, at: number, edge: MelOptions['edge']): number {
  if (at >= 0 && at < samples.length) return samples[at] as number;
  if (edge === 'zero') return 0;
  const period = Math.max(1, 2 * (samples.length - 1));
  const folded = ((at % period) + period) % period;
  return samples[Math.min(folded, period - folded)] ?? 0;
}

/** Periodic, in the middle of the transform. */
function hannWindow({ fft, window }: MelOptions): Float64Array {
  const start = Math.floor((fft - window) / 2);
  return Float64Array.from({ length: fft }, (_, i) => {
    const at = i - start;
    return at < 0 || at >= window ? 0 : 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / window);
  });
}

/** |X|² of the bins 0 … n/2 of n real numbers: by FFT where n is a power of two, else by its definition. */
function squaredSpectrum(n: number): (frame: Float64Array) => Float64Array {
  const bins = Math.floor(n / 2) + 1;
  const squares = new Float64Array(bins);
  if (n > 1 && Number.isInteger(Math.log2(n))) {
    const fft = new FFT(n);
    const found = fft.createComplexArray();
    return (frame) => {
      fft.realTransform(found, frame);
      return squares.map((_, k) => (found[2 * k] ?? 0) ** 2 + (found[2 * k + 1] ?? 0) ** 2);
    };
  }
  const cosine = Float64Array.from({ length: n }, (_, i) => Math.cos((2 * Math.PI * i) / n));
  const sine = Float64Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * i) / n));
  return (frame) =>
    squares.map((_, k) => {
      let [re, im] = [0, 0];
      for (let i = 0, angle = 0; i < n; i++, angle = (angle + k) % n) {
        re += (frame[i] as number) * (cosine[angle] as number);
        im += (frame[i] as number) * (sine[angle] as number);
      }
      return re * re + im * im;
    });
}

const LINEAR = 200 / 3;
const BREAK = 1000;
const STEP = Math.log(6.4) / 27;

/** Slaney's scale (Auditory Toolbox 1998): linear below 1 kHz, then logarithmic. */
function toMel(hz: number, scale: MelOptions['scale']): number {
  if (scale === 'htk') return 2595 * Math.log10(1 + hz / 700);
  return hz < BREAK ? hz / LINEAR : BREAK / LINEAR + Math.log(hz / BREAK) / STEP;
}

function toHz(mel: number, scale: MelOptions['scale']): number {
  if (scale === 'htk') return 700 * (10 ** (mel / 2595) - 1);
  const start = BREAK / LINEAR;
  return mel < start ? mel * LINEAR : BREAK * Math.exp(STEP * (mel - start));
}

/** Triangles between neighbours of mels + 2 points at equal distances on the scale. */
function melFilters(options: MelOptions, rate: number) {
  const { mels, fft, low, high, scale, norm } = options;
  const [from, to] = [toMel(low, scale), toMel(high, scale)];
  const point = (i: number) => toHz(from + ((to - from) * i) / (mels + 1), scale);
  const bins = Math.floor(fft / 2) + 1;
  return Array.from({ length: mels }, (_, m) => {
    const [a, b, c] = [point(m), point(m + 1), point(m + 2)];
    const height = norm === 'slaney' ? 2 / (c - a) : 1;
    const all = Array.from({ length: bins }, (_, k) => {
      const hz = (k * rate) / fft;
      return height * Math.max(0, Math.min((hz - a) / (b - a), (c - hz) / (c - b)));
    });
    const first = Math.max(
      0,
      all.findIndex((weight) => weight > 0),
    );
    const last = all.findLastIndex((weight) => weight > 0);
    return { first, weights: Float64Array.from(all.slice(first, last + 1)) };
  });
}
