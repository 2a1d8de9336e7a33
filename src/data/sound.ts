// Folders of sounds (.wav), in class folders or with labels.csv: waveforms in -1 … 1, or log-mel
// spectrograms with --features mel:N; cut, or filled up with silence, to the length of the model.

import { emptyData, soundLengthOpen, soundRatesDiffer } from '../errors/data.ts';
import { Tensor } from '../tensor/tensor.ts';
import { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import type { Dataset, InputSpec } from './dataset.ts';
import { hasFiles, type LabelledFile, labelArrays, listFiles } from './files.ts';
import type { DataKind } from './kind.ts';
import { frameCount, MelSpectrogram, parseMel } from './mel.ts';
import type { DataOptions } from './options.ts';
import type { ArraySource } from './source.ts';
import { openWav, readWav, type Wav } from './wav.ts';

const isWav = (name: string) => /\.wav$/i.test(name);

export const sound: DataKind = {
  summary: 'a folder of sounds (.wav): in class folders, or with labels.csv',
  matches: (path, isFolder) => isFolder && hasFiles(path, isWav),
  async open({ path, inputs, options }): Promise<Dataset> {
    const bad = new BadSamples(options);
    const listed = listFiles(path, isWav, options, bad);
    const { files, wavs } = usable(listed.files, bad);
    if (wavs.length === 0) throw emptyData(path, bad);
    const rate = wavs[0]?.rate ?? 1;
    const frames = wavs.map((wav) => wav.frames);
    const [shortest, longest] = [Math.min(...frames), Math.max(...frames)];
    // Without a model, the longest sound says how long a sample is.
    const whole = inputs || options.seconds ? {} : { seconds: longest / rate };
    const sample = planSample(inputs?.[0], rate, { ...options, ...whole });
    const shape = [wavs.length, ...sample.shape];
    const source: ArraySource = {
      name: 'sound',
      where: path,
      dtype: 'float32',
      shape,
      rows: (rows) =>
        stack(
          rows.map((row) => sample.of(wavs[row] as Wav)),
          sample.shape,
        ),
    };
    const lengths = `sounds of ${lasting(shortest / rate)} to ${lasting(longest / rate)}`;
    const notes = [`${lengths} at ${rate} Hz, as ${sample.text}`];
    const arrays = [source, ...labelArrays(path, files)];
    const nameOf = (row: number) => files[row]?.path ?? '';
    const extras = { notes, classes: listed.classes, bad, nameOf };
    return arrayDataset(path, arrays, inputs, options, extras);
  },
};

/** Files that can be read, all of one rate. */
function usable(files: readonly LabelledFile[], bad: BadSamples) {
  const found: { file: LabelledFile; wav: Wav }[] = [];
  for (const file of files) {
    try {
      const wav = openWav(file.path);
      const rate = found[0]?.wav.rate ?? wav.rate;
      if (wav.rate !== rate) throw soundRatesDiffer(file.path, wav.rate, rate);
      found.push({ file, wav });
    } catch (error) {
      bad.add(error);
    }
  }
  return { files: found.map(({ file }) => file), wavs: found.map(({ wav }) => wav) };
}

interface Sample {
  readonly shape: readonly number[];
  readonly text: string;
  of(wav: Wav): Float32Array;
}

/** What one sample is, by the shape of the input. */
function planSample(input: InputSpec | undefined, rate: number, options: DataOptions): Sample {
  const { seconds, features, scale = 1 } = options;
  const dims = (input?.shape ?? []).slice(1).filter((dim) => dim !== 1);
  const asked = seconds === undefined ? undefined : Math.max(1, Math.round(seconds * rate));
  const read = (wav: Wav, length: number) => {
    const samples = readWav(wav, length);
    return scale === 1 ? samples : samples.map((value) => value * scale);
  };
  if (features === undefined) {
    const length = asked ?? dims.find((dim) => typeof dim === 'number');
    if (length === undefined) throw soundLengthOpen(input?.name ?? '');
    return { shape: [length], text: lasting(length / rate), of: (wav) => read(wav, length) };
  }
  const mel = new MelSpectrogram(parseMel(features, rate), rate);
  const { mels, hop } = mel.options;
  const isTimeFirst = dims.length === 2 && dims[1] === mels && dims[0] !== mels;
  const fixed = dims[isTimeFirst ? 0 : 1];
  const frames = asked === undefined ? fixed : frameCount(asked, mel.options);
  if (typeof frames !== 'number') throw soundLengthOpen(input?.name ?? '');
  const length = asked ?? frames * hop;
  return {
    shape: isTimeFirst ? [frames, mels] : [mels, frames],
    text: `${lasting(length / rate)}, ${mels} mel bands in ${frames} frames`,
    of: (wav) => mel.of(read(wav, length), frames, isTimeFirst),
  };
}

function lasting(seconds: number): string {
  return `${Number(seconds.toPrecision(4))} s`;
}

function stack(samples: readonly Float32Array[], shape: readonly number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = new Float32Array(samples.length * size);
  samples.forEach((sample, i) => {
    values.set(sample, i * size);
  });
  return Tensor.of('float32', [samples.length, ...shape], values);
}
