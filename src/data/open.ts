// Opens data by its name: the first kind that recognises it. A new kind is a file and a row here.

import { statSync } from 'node:fs';
import { noiseNeedsModel, noSuchData, unknownDataKind } from '../errors/data.ts';
import { npy, npz } from './arrays.ts';
import type { Dataset, InputSpec } from './dataset.ts';
import { FILE_BYTES, openFileBytes } from './file-bytes.ts';
import { idx } from './idx.ts';
import { coco } from './image/coco.ts';
import { imageFolder } from './image/folder.ts';
import type { DataKind, DataRequest } from './kind.ts';
import { openParallel } from './lines.ts';
import { noise } from './noise.ts';
import type { DataOptions } from './options.ts';
import { sound } from './sound.ts';
import { squad } from './squad.ts';
import { table } from './table.ts';
import { testset } from './testset.ts';
import { text } from './text.ts';

const KINDS: readonly DataKind[] = [
  npz,
  npy,
  idx,
  table,
  text,
  testset,
  imageFolder,
  sound,
  squad,
  coco,
];

const NOISE = 'random';
const PARALLEL = 'two texts whose lines belong together (A,B)';

/**
 * The dataset that `--data SPEC` names, for a model with these inputs; undefined: as it is, without a
 * model.
 */
export async function openDataset(
  spec: string,
  inputs: readonly InputSpec[] | undefined,
  options: DataOptions,
): Promise<Dataset> {
  if (spec === NOISE && !inputs) throw noiseNeedsModel();
  if (spec === NOISE) return noise(inputs ?? [], options);
  const dataset = await openPath({ path: spec, inputs, options });
  if (dataset.bad?.count) options.onSkipped?.(dataset.bad);
  return dataset;
}

function openPath(request: DataRequest): Promise<Dataset> {
  const { path, options } = request;
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found && path.includes(',')) return openParallel(request);
  if (!found) throw noSuchData(path);
  const isFolder = found.isDirectory();
  if (options.bytes && isFolder) return openFileBytes(request, options.bytes);
  const kind = findKind(path, isFolder, options);
  const known = () => [NOISE, ...KINDS.map((k) => k.summary), PARALLEL, FILE_BYTES];
  if (!kind) throw unknownDataKind(path, known());
  return kind.open(request);
}

/** What data is taken for, in words; undefined for what cannot be read. */
export function kindOf(spec: string, options: DataOptions): string | undefined {
  const found = statSync(spec, { throwIfNoEntry: false });
  if (!found) return spec === NOISE ? NOISE : PARALLEL;
  if (options.bytes && found.isDirectory()) return FILE_BYTES;
  return findKind(spec, found.isDirectory(), options)?.summary;
}

/** By its name; whatever a file is called, with --tokenizer it is text. */
function findKind(
  path: string,
  isFolder: boolean,
  { tokenizer }: DataOptions,
): DataKind | undefined {
  const isText = tokenizer !== undefined && !isFolder;
  return KINDS.find((kind) => kind.matches(path, isFolder)) ?? (isText ? text : undefined);
}
