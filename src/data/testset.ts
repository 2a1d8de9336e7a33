// ONNX test data: folders test_data_set_N with input_M.pb and output_M.pb, one tensor per file. Each
// set is one run; the expected outputs are targets.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  brokenFile,
  emptyData,
  inputWithoutData,
  shapeDoesNotFit,
  typeDoesNotFit,
} from '../errors/data.ts';
import { printShape, symbolsOf } from '../graph/index.ts';
import { decodeTensor } from '../onnx/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { fits } from './arrange.ts';
import { isBatchName } from './assume-sizes.ts';
import { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import { chooseSamples, describeChoice } from './choice.ts';
import type { Batch, Dataset, InputSpec } from './dataset.ts';
import type { DataKind, DataRequest } from './kind.ts';
import { type ArraySource, BytesSource, StoredArray } from './source.ts';

const SET = /^test_data_set_(\d+)$/;

export const testset: DataKind = {
  summary: 'a folder of ONNX test data (test_data_set_N/input_M.pb)',
  matches: (path, isFolder) => isFolder && setsIn(path).length > 0,
  async open({ path, inputs, options }): Promise<Dataset> {
    const bad = new BadSamples(options);
    const found = setsIn(path);
    const sets = options.skipBad ? found.filter((set) => isReadable(set, inputs, bad)) : found;
    const order = await chooseSamples(sets.length, options);
    if (order.length === 0) throw emptyData(path, bad);
    const rows = inputs && stacked(path, sets, inputs);
    if (rows) return arrayDataset(path, rows, inputs, options, { notes: [NOTE], bad });
    const words = [...describeChoice(options), ...bad.notes].map((text) => `; ${text}`);
    return {
      summary: `${path}: ${order.length} sets of ONNX test data${words.join('')}`,
      length: order.length,
      bad,
      async *batches(): AsyncIterable<Batch> {
        for (const i of order) yield readSet(sets[i] as string, inputs);
      },
    };
  },
};

const NOTE = 'sets of ONNX test data, row by row';

/**
 * Sets of one form, for inputs that are batches by their names: arrays whose rows are samples, which can
 * be taken in any order. Undefined where each set has to stay one run.
 */
function stacked(
  path: string,
  sets: readonly string[],
  inputs: readonly InputSpec[],
): ArraySource[] | undefined {
  const isBatch = ({ shape: [batch] }: InputSpec) =>
    batch !== undefined && typeof batch !== 'number' && symbolsOf(batch).some(isBatchName);
  if (inputs.length === 0 || !inputs.every(isBatch)) return undefined;
  const batches = sets.map((set) => readSet(set, inputs));
  const arrays = batches.map(({ feeds, targets }) => [...feeds, ...targets]);
  const formOf = (tensors: (typeof arrays)[number]) =>
    tensors.map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape.slice(1)}`).join('; ');
  const rowsOf = ([, { shape }]: (typeof arrays)[number][number]) => shape[0];
  const [first = []] = arrays;
  const isOneForm = arrays.every(
    (tensors) =>
      formOf(tensors) === formOf(first) &&
      tensors.every(
        (one) => rowsOf(one) !== undefined && rowsOf(one) === rowsOf(tensors[0] ?? one),
      ),
  );
  if (!isOneForm || first.some(([, { dtype }]) => dtype === 'string')) return undefined;
  return first.map(([name, { dtype, shape }], i) => {
    const parts = arrays.map((tensors) => tensors[i]?.[1] as Tensor);
    const count = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0);
    const bytes = Buffer.concat(parts.map((part) => part.bytes()));
    const whole = { name, where: `${path}: ${name}`, dtype, shape: [count, ...shape.slice(1)] };
    return new StoredArray(whole, new BytesSource(bytes));
  });
}

/** The folder itself if it is a set, else the sets in it, by number. */
function setsIn(path: string): string[] {
  if (existsSync(join(path, 'input_0.pb'))) return [path];
  return readdirSync(path)
    .filter((name) => SET.test(name))
    .sort((a, b) => Number(SET.exec(a)?.[1]) - Number(SET.exec(b)?.[1]))
    .map((name) => join(path, name));
}

function isReadable(folder: string, inputs: DataRequest['inputs'], bad: BadSamples): boolean {
  try {
    readSet(folder, inputs);
    return true;
  } catch (error) {
    bad.add(error);
    return false;
  }
}

function readSet(folder: string, wanted: DataRequest['inputs']): Batch {
  const files = readFiles(folder, 'input');
  const inputs =
    wanted ?? files.map(({ name, tensor: { dtype, shape } }) => ({ name, dtype, shape }));
  const names = files.map((file) => file.name);
  const isNamed = inputs.every((input) => names.includes(input.name));
  const feeds = new Map<string, Tensor>();
  inputs.forEach((input, i) => {
    const file = isNamed ? files.find((f) => f.name === input.name) : files[i];
    if (!file) throw inputWithoutData(input.name, names, folder);
    feeds.set(input.name, checked(file, input));
  });
  const targets = new Map(readFiles(folder, 'output').map((file) => [file.name, file.tensor]));
  return { feeds, targets, count: 1 };
}

interface TensorFile {
  /** The name in the file, else the file's own. */
  readonly name: string;
  readonly path: string;
  readonly tensor: Tensor;
}

function readFiles(folder: string, kind: 'input' | 'output'): TensorFile[] {
  const pattern = new RegExp(`^${kind}_(\\d+)\\.pb$`);
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort((a, b) => Number(pattern.exec(a)?.[1]) - Number(pattern.exec(b)?.[1]))
    .map((file) => {
      const path = join(folder, file);
      const { name, tensor } = decodeTensor(readFileSync(path), path);
      return { name: name || basename(file, '.pb'), path, tensor };
    });
}

function checked({ tensor, path }: TensorFile, input: InputSpec): Tensor {
  if (tensor.dtype !== 'string' && tensor.byteLength === 0 && elementCount(tensor.shape) > 0) {
    throw brokenFile(path, 'the file holds no elements; sequences cannot be fed');
  }
  // NumPy has no bfloat16: ONNX's own test data holds its bits.
  if (tensor.dtype === 'uint16' && input.dtype === 'bfloat16') {
    return Tensor.fromBytes('bfloat16', tensor.shape, tensor.bytes());
  }
  if (tensor.dtype !== input.dtype) {
    throw typeDoesNotFit(path, tensor.dtype, input.name, input.dtype);
  }
  // An input without axes is a scalar, or has no declared shape.
  if (input.shape.length > 0 && !fits(tensor.shape, input.shape)) {
    const wanted = `${input.dtype} ${printShape(input.shape)}`;
    throw shapeDoesNotFit(path, tensor.shape, input.name, wanted, 'Every set holds one whole run.');
  }
  return tensor;
}
