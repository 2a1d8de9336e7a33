// The ONNX operator tests that stand beside the checkout: models with inputs and expected outputs.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';
import { Reader } from 'protobufjs';
import { type DType, dtypeOf } from '../../src/tensor/dtype.ts';
import { sharedPath } from './shared.ts';

export interface NodeTest {
  readonly name: string;
  readonly folder: string;
}

/** What a test file holds, as far as inference is compared with it. */
export interface Expected {
  readonly kind: 'tensor' | 'sequence' | 'optional';
  readonly dtype?: DType | undefined;
  readonly shape?: readonly number[];
}

const FOLDER = 'tests/conformance_data/onnx-1.18/node';

/**
 * The cases that onnxruntime 1.30 passes, unpacked once per machine; none where they are absent.
 * `unsup`: those whose types onnxruntime-node cannot hand over; the other lists: those it fails.
 */
export function nodeTests(
  list: 'pass' | 'unsup' | 'mismatch' | 'norun' | 'noload' = 'pass',
): NodeTest[] {
  const target = unpacked('onnx118_node_tests.tar.gz', 'xform-node-tests-1.18');
  const lists = sharedPath('data', 'onnx118_node_tests.ort1.30.json');
  if (!target || !lists) return [];
  const chosen = new Set<string>(JSON.parse(readFileSync(lists, 'utf8')).lists[list]);
  return readdirSync(join(target, FOLDER))
    .filter((name) => chosen.has(name))
    .sort()
    .map((name) => ({ name, folder: join(target, FOLDER, name) }));
}

/** The folder that holds what an archive does, unpacked once per machine. */
export function unpacked(archive: string, name: string): string | undefined {
  const path = sharedPath('data', archive);
  if (!path) return undefined;
  const target = join(tmpdir(), name);
  if (!existsSync(target)) {
    const staging = `${target}.${process.pid}`;
    mkdirSync(staging);
    execFileSync('tar', ['xzf', path, '-C', staging]);
    renameSync(staging, target);
  }
  return target;
}

/** Input or output `index` of the first data set; undefined where the case has none. */
export function readTensorFile(test: NodeTest, kind: 'input' | 'output', index: number) {
  const path = join(test.folder, 'test_data_set_0', `${kind}_${index}.pb`);
  if (!existsSync(path)) return undefined;
  return onnxProto.onnx.TensorProto.decode(readFileSync(path));
}

/** Type and shape of what a file holds, told by what the model declares for it. */
export function expectedOf(proto: onnxProto.onnx.ITensorProto): Expected {
  return {
    kind: 'tensor',
    dtype: dtypeOf(proto.dataType ?? 0),
    shape: (proto.dims ?? []).map(Number),
  };
}

/**
 * All tensors that an input or output consists of: of kind `tensor` one, of a sequence or an optional
 * (onnx-data.proto: SequenceProto, OptionalProto) as many as there are; undefined without a file.
 */
export function readTensorFiles(
  test: NodeTest,
  direction: 'input' | 'output',
  index: number,
  kind: string,
): onnxProto.onnx.ITensorProto[] | undefined {
  const path = join(test.folder, 'test_data_set_0', `${direction}_${index}.pb`);
  if (!existsSync(path)) return undefined;
  const bytes = readFileSync(path);
  return kind === 'tensor' ? [onnxProto.onnx.TensorProto.decode(bytes)] : tensorsWithin(bytes);
}

/** Fields that both messages number alike: their tensors, and the messages they nest. */
const TENSORS = 3;
const NESTED = [5, 7];

function tensorsWithin(bytes: Uint8Array): onnxProto.onnx.ITensorProto[] {
  const reader = Reader.create(bytes);
  const tensors: onnxProto.onnx.ITensorProto[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = tag >>> 3;
    if (field === TENSORS) tensors.push(onnxProto.onnx.TensorProto.decode(reader.bytes()));
    else if (NESTED.includes(field)) tensors.push(...tensorsWithin(reader.bytes()));
    else reader.skipType(tag & 7);
  }
  return tensors;
}
