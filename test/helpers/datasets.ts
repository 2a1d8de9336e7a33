// A tiny data set of every kind that --data reads, and a model that takes it.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import onnxProto from 'onnx-proto';
import sharp from 'sharp';
import { encodeModel } from '../../src/onnx/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { parseModel } from './parse.ts';

export interface DataCase {
  readonly kind: string;
  /** What --data is given. */
  readonly data: string;
  /** Further flags of the data. */
  readonly flags: readonly string[];
  /** Path of the model. */
  readonly model: string;
  readonly samples: number;
  /** What --objective of training is, where data and outputs do not tell. */
  readonly objective?: string;
  /** What --task of eval is, likewise. */
  readonly task?: string;
}

const COUNT = 12;
const SIDE = 8;

const HEAD = `
  flat = Flatten(r)
  y = Gemm(flat, W, b)
}`;

const MODELS = {
  colours: `g (float[n, 3, ${SIDE}, ${SIDE}] image) => (float[n, 2] y)
<float[4, 3, 3, 3] K = random, float[36, 2] W = random, float[2] b = {0, 0}>
{
  c = Conv<kernel_shape = [3, 3], strides = [2, 2]>(image, K)
  r = Relu(c) ${HEAD}`,
  grey: `g (float[n, 1, ${SIDE}, ${SIDE}] image) => (float[n, 2] y)
<float[4, 1, 3, 3] K = random, float[36, 2] W = random, float[2] b = {0, 0}>
{
  c = Conv<kernel_shape = [3, 3], strides = [2, 2]>(image, K)
  r = Relu(c) ${HEAD}`,
  columns: `g (float[n, 4] x) => (float[n, 2] y)
<float[4, 6] V = random, float[6, 2] W = random, float[2] b = {0, 0}>
{
  h = MatMul(x, V)
  r = Relu(h) ${HEAD}`,
  pixels: `g (float[n, 1, 2, 2] pixels) => (float[n, 3] y)
<float[4, 3] W = random, float[3] b = {0, 0, 0}>
{
  r = Relu(pixels) ${HEAD}`,
  sound: `g (float[n, 64] wave) => (float[n, 2] y)
<float[64, 6] V = random, float[6, 2] W = random, float[2] b = {0, 0}>
{
  h = MatMul(wave, V)
  r = Relu(h) ${HEAD}`,
  texts: `g (int64[n, 8] input_ids) => (float[n, 2] y)
<float[256, 6] E = random, float[6, 2] W = random, float[2] b = {0, 0}>
{
  e = Gather(E, input_ids)
  r = ReduceMean<axes = [1], keepdims = 0>(e) ${HEAD}`,
  language: `g (int64[n, 8] input_ids) => (float[n, 8, 256] logits)
<float[256, 6] E = random, float[6, 256] W = random>
{
  e = Gather(E, input_ids)
  logits = MatMul(e, W)
}`,
  translator: `g (int64[n, 8] input_ids, int64[n, 8] decoder_input_ids) => (float[n, 8, 256] logits)
<float[256, 6] E = random, float[6, 256] W = random>
{
  e = Gather(E, input_ids)
  m = ReduceMean<axes = [1]>(e)
  d = Gather(E, decoder_input_ids)
  s = Add(d, m)
  logits = MatMul(s, W)
}`,
  // As YOLOX: strides 8, 16 and 32; x, y, w, h, object and two classes of each cell.
  detector: `g (float[n, 3, 32, 32] images) => (float[n, 21, 7] y)
<float[7, 3, 8, 8] K = random, float[7] b = {-1, -1, -1, -1, -1, -1, -1}, int64[3] cells = {0, 7, -1}>
{
  c = Conv<kernel_shape = [8, 8], strides = [8, 8]>(images, K, b)
  s = Sigmoid(c)
  p = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(s)
  q = AveragePool<kernel_shape = [4, 4], strides = [4, 4]>(s)
  f8 = Reshape(s, cells)
  f16 = Reshape(p, cells)
  f32 = Reshape(q, cells)
  all = Concat<axis = 2>(f8, f16, f32)
  y = Transpose<perm = [0, 2, 1]>(all)
}`,
};

const CLASSES = ['bird', 'cat'];
/** The class of a sample, and numbers that depend on it. */
const labelOf = (i: number) => i % 2;

/** Writes all of them into a folder. */
export async function writeDatasets(folder: string): Promise<DataCase[]> {
  const at = (...parts: string[]) => join(folder, ...parts);
  const random = new Random(0, 'datasets');
  const floats = (length: number, i: number) =>
    Float32Array.from({ length }, () => random.normal() + labelOf(i));
  const write = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content);
  const models: Record<string, string> = {};
  for (const [name, text] of Object.entries(MODELS)) {
    models[name] = at(`${name}.onnx`);
    writeFileSync(at(`${name}.onnx`), await encodeModel(parseModel(text)));
  }
  const rows = Array.from({ length: COUNT }, (_, i) => [...floats(4, i)]);
  const labels = Array.from({ length: COUNT }, (_, i) => labelOf(i));
  const shape = [COUNT, 4];
  const x = npyBytes('<f4', shape, Float32Array.from(rows.flat()));
  write('x.npy', x);
  write(
    'xy.npz',
    npzBytes({ x, labels: npyBytes('<i8', [COUNT], BigInt64Array.from(labels, BigInt)) }),
  );
  const cells = rows.map((row, i) => [...row, CLASSES[labelOf(i)]]);
  write('table.csv', ['a,b,c,d,kind', ...cells.map((row) => row.join())].join('\n'));
  const records = rows.map(([a, b, c, d], i) => ({ a, b, c, d, kind: CLASSES[labelOf(i)] }));
  write('table.jsonl', records.map((record) => JSON.stringify(record)).join('\n'));
  const texts = labels.map((label) => (label ? 'soft and furry' : 'sings at dawn'));
  write('lines.txt', texts.map((text, i) => `${labelOf(i)} ${text}`).join('\n'));
  write('book.txt', texts.join('\n'));
  write('a.en', `${texts.join('\n')}\n`);
  write('b.de', `${texts.map((text) => text.toUpperCase()).join('\n')}\n`);
  writeIdx(folder, labels, random);
  await writePictures(folder, labels, random);
  writeSounds(folder, labels, random);
  rows.forEach((row, i) => {
    writeTestSet(at('sets', `test_data_set_${i}`), row, labelOf(i));
  });

  const labelled = ['--label', 'kind'];
  const byte = ['--tokenizer', 'byte'];
  const cases: [kind: string, data: string, flags: string[], model: string, samples?: number][] = [
    ['npy', at('x.npy'), [], 'columns'],
    ['npz', at('xy.npz'), [], 'columns'],
    ['csv', at('table.csv'), labelled, 'columns'],
    ['jsonl', at('table.jsonl'), labelled, 'columns'],
    [
      'parquet',
      resolve('fixtures/data/animals-zstd.parquet'),
      ['--features', 'image', '--label', 'species'],
      'pixels',
      7,
    ],
    ['lines', at('lines.txt'), ['--label', '0', ...byte], 'texts'],
    ['text', at('book.txt'), byte, 'language', 21],
    ['parallel', `${at('a.en')},${at('b.de')}`, byte, 'translator'],
    ['class folders', at('classes'), [], 'colours'],
    ['labels.csv', at('flat'), ['--normalize', 'mean=0.5,0.4,0.3'], 'colours'],
    ['idx', at('t-images-idx3-ubyte.gz'), [], 'grey'],
    ['coco', at('instances.json'), ['--images', at('flat')], 'detector'],
    ['wav', at('sounds'), [], 'sound'],
    ['bytes', at('sounds'), ['--bytes', 'head=4,tail=4,pad=0'], 'texts'],
    ['test data', at('sets'), [], 'columns'],
  ];
  const tasks: Record<string, Pick<DataCase, 'objective' | 'task'>> = {
    text: { objective: 'clm', task: 'lm' },
    parallel: { task: 'lm' },
    'test data': { task: 'regress' },
  };
  return cases.map(([kind, data, flags, model, samples = COUNT]) => {
    return { kind, data, flags, model: models[model] ?? '', samples, ...tasks[kind] };
  });
}

function writeIdx(folder: string, labels: readonly number[], random: Random): void {
  const header = (type: number, ...sizes: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length);
    bytes.set([0, 0, type, sizes.length]);
    for (const [i, size] of sizes.entries()) bytes.writeUInt32BE(size, 4 + 4 * i);
    return bytes;
  };
  const pixels = Uint8Array.from({ length: labels.length * SIDE * SIDE }, () =>
    random.integer(256),
  );
  const images = Buffer.concat([header(8, labels.length, SIDE, SIDE), pixels]);
  writeFileSync(join(folder, 't-images-idx3-ubyte.gz'), gzipSync(images));
  const bytes = Buffer.concat([header(8, labels.length), Uint8Array.from(labels)]);
  writeFileSync(join(folder, 't-labels-idx1-ubyte'), bytes);
}

/** Class folders, a flat folder with labels.csv, and boxes in the flat ones; PNG, JPEG and WebP. */
async function writePictures(folder: string, labels: readonly number[], random: Random) {
  for (const name of CLASSES) mkdirSync(join(folder, 'classes', name), { recursive: true });
  mkdirSync(join(folder, 'flat'));
  const names = labels.map((_, i) => `${i}.${['png', 'jpg', 'webp'][i % 3]}`);
  for (const [i, label] of labels.entries()) {
    const pixels = Buffer.from(
      Array.from({ length: SIDE * SIDE * 3 }, () => random.integer(120) + 120 * label),
    );
    const path = join(folder, 'classes', CLASSES[label] ?? '', names[i] ?? '');
    await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } }).toFile(path);
    cpSync(path, join(folder, 'flat', names[i] ?? ''));
  }
  const rows = names.map((name, i) => `${name},${CLASSES[labels[i] ?? 0]}`);
  writeFileSync(join(folder, 'flat', 'labels.csv'), ['file,label', ...rows].join('\n'));
  const instances = {
    images: names.map((file_name, id) => ({ id, file_name, width: SIDE, height: SIDE })),
    categories: CLASSES.map((name, id) => ({ id, name })),
    annotations: labels.map((category_id, image_id) => ({
      image_id,
      category_id,
      bbox: [1, 1, 5, 6],
    })),
  };
  writeFileSync(join(folder, 'instances.json'), JSON.stringify(instances));
}

/** 16-bit PCM, in class folders. */
function writeSounds(folder: string, labels: readonly number[], random: Random): void {
  for (const name of CLASSES) mkdirSync(join(folder, 'sounds', name), { recursive: true });
  for (const [i, label] of labels.entries()) {
    const samples = Buffer.from(
      Int16Array.from({ length: 64 }, () => random.normal() * 9000).buffer,
    );
    const head = Buffer.alloc(44);
    head.write('RIFF    WAVEfmt ');
    head.writeUInt32LE(36 + samples.length, 4);
    head.writeUInt32LE(16, 16);
    head.writeUInt16LE(1, 20);
    head.writeUInt16LE(1, 22);
    head.writeUInt32LE(8000, 24);
    head.writeUInt32LE(16000, 28);
    head.writeUInt16LE(2, 32);
    head.writeUInt16LE(16, 34);
    head.write('data', 36);
    head.writeUInt32LE(samples.length, 40);
    const path = join(folder, 'sounds', CLASSES[label] ?? '', `${i}.wav`);
    writeFileSync(path, Buffer.concat([head, samples]));
  }
}

/** One sample, and what the model is to say of it. */
function writeTestSet(folder: string, row: readonly number[], label: number): void {
  const { TensorProto } = onnxProto.onnx;
  mkdirSync(folder, { recursive: true });
  const x = { name: 'x', dims: [1, row.length], dataType: 1, floatData: [...row] };
  writeFileSync(join(folder, 'input_0.pb'), TensorProto.encode(x).finish());
  const y = { name: 'scores', dims: [1, 2], dataType: 1, floatData: [1 - label, label] };
  writeFileSync(join(folder, 'output_0.pb'), TensorProto.encode(y).finish());
}
