// The same weights in torchvision's, PyTorch's and Hugging Face's architectures give the same results.
// Runs where a Python environment with them stands in .peers.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from '@jest/globals';
import { architectureNamed, type Choices } from '../../src/archs/index.ts';
import { writeModel } from '../../src/onnx/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { npyBytes } from '../data/npy.ts';

const PYTHON = resolve('.peers/bin/python');
const hasPeers = existsSync(PYTHON);
if (!hasPeers) process.stdout.write('skipped: there is no Python with PyTorch in .peers\n');

const folder = mkdtempSync(join(tmpdir(), 'xform-archs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TRANSFORMER = { hidden: [48], layers: 2, heads: 3, vocab: 60, seq: 32 };
const TOKENS = { hidden: 48, layers: 2, heads: 3, vocab: 60, seq: 32 };

interface Case {
  readonly arch: string;
  readonly choices: Partial<Choices>;
  readonly input: readonly number[];
  readonly output: string;
  /** What the peer is told. */
  readonly sizes?: object;
}

const CASES: readonly Case[] = [
  { arch: 'resnet18', choices: {}, input: [2, 3, 224, 224], output: 'logits' },
  { arch: 'resnet50', choices: {}, input: [1, 3, 224, 224], output: 'logits' },
  { arch: 'mobilenetv2', choices: {}, input: [2, 3, 224, 224], output: 'logits' },
  {
    arch: 'vit',
    choices: { in: [3, 32, 32], patch: 8, hidden: [48], layers: 3, heads: 4, mlpDim: 96 },
    input: [2, 3, 32, 32],
    output: 'logits',
    sizes: { image: 32, patch: 8, hidden: 48, layers: 3, heads: 4, mlp: 96, classes: 1000 },
  },
  {
    arch: 'lstm',
    choices: { in: [5], hidden: [16], layers: 2, bidirectional: true },
    input: [3, 9, 5],
    output: 'logits',
  },
  { arch: 'gpt', choices: TRANSFORMER, input: [2, 11], output: 'logits', sizes: TOKENS },
  {
    arch: 'bert',
    choices: { ...TRANSFORMER, mlpDim: 192 },
    input: [2, 11],
    output: 'pooler_output',
    sizes: TOKENS,
  },
  {
    arch: 'transformer',
    choices: TRANSFORMER,
    input: [2, 11],
    output: 'logits',
    sizes: TOKENS,
  },
];

/** Ids or normally distributed numbers, as the model's first input wants them. */
function inputOf(isText: boolean, shape: readonly number[]): Tensor {
  const random = new Random(5);
  const count = shape.reduce((a, b) => a * b, 1);
  const values = Array.from({ length: count }, () =>
    isText ? random.integer(TOKENS.vocab) : random.normal(),
  );
  return Tensor.of(isText ? 'int64' : 'float32', shape, values);
}

(hasPeers ? it : it.skip).each(CASES)('$arch', async ({ arch, choices, input, output, sizes }) => {
  const model = architectureNamed(arch).build(choices, 1);
  const fed = inputOf(model.graph.inputs[0]?.dtype === 'int64', input);
  const same = (value: number) =>
    Tensor.of(
      'int64',
      input,
      Array.from({ length: fed.size }, () => value),
    );
  const feeds = new Map(
    model.graph.inputs.map(({ name }, i) => [
      name,
      i === 0 ? fed : same(name === 'attention_mask' ? 1 : 0),
    ]),
  );
  const ours = (await createRunner()(model, feeds)).get(output);
  await writeModel(model, join(folder, `${arch}.onnx`));
  const descr = fed.dtype === 'int64' ? '<i8' : '<f4';
  writeFileSync(join(folder, 'input.npy'), npyBytes(descr, input, fed.values()));
  const script = resolve('test/archs/peers.py');
  const args = [script, folder, arch, JSON.stringify(sizes ?? {})];
  const { stdout } = await promisify(execFile)(PYTHON, args);
  if (stdout.includes('missing')) {
    process.stdout.write(`skipped: the peer of ${arch} is not installed\n`);
    return;
  }
  if (!ours) throw new Error(`no output ${output}`);
  const theirs = Tensor.fromBytes('float32', ours.shape, readFileSync(join(folder, 'output.bin')));
  const found = compareTensors(theirs, ours, { rtol: 1e-3, atol: 1e-5 });
  expect(found).toMatchObject({ equal: true });
});
