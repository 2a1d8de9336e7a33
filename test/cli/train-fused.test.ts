// A fused BERT is trained as the plain one is, and keeps its fused nodes.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { encodeModel, readModel } from '../../src/onnx/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-fused-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A zero bias would be dropped by the fusion and so not be trained. */
async function writeUneven(path: string, to: string): Promise<void> {
  const model = readModel(path);
  for (const value of model.graph.initializers) {
    const { data } = value;
    if (data?.dtype !== 'float32' || data.shape.length !== 1) continue;
    const random = new Random(3, value.name);
    const moved = data.numbers().map((number) => number + 0.05 * random.normal());
    model.graph.setData(value, Tensor.of('float32', data.shape, moved));
  }
  writeFileSync(to, await encodeModel(model));
}

function writeTokens(path: string): void {
  const random = new Random(4, 'tokens');
  const shape = [32, 8];
  const ids = Array.from({ length: 256 }, () => 5 + Math.floor(25 * random.uniform()));
  const ones = new Array<number>(256).fill(1);
  const file = (values: number[]) => npyBytes('<i8', shape, BigInt64Array.from(values, BigInt));
  const files = {
    input_ids: file(ids),
    attention_mask: file(ones),
    token_type_ids: file(ones.map(() => 0)),
  };
  writeFileSync(path, npzBytes(files));
}

it('trains a fused model as it does the plain one', async () => {
  const sizes = ['--vocab', '30', '--hidden', '16', '--heads', '2', '--layers', '1', '--seq', '8'];
  await xform(['init', 'bert', '--head', 'mlm', ...sizes, '-o', at('made.onnx')]);
  await writeUneven(at('made.onnx'), at('plain.onnx'));
  writeTokens(at('tokens.npz'));
  await xform(['optimize', at('plain.onnx'), '--level', 'extended', '-o', at('fused.onnx')]);
  const fused = ['MultiHeadAttention', 'BiasGelu'];
  const operators = (path: string) => [...readModel(path).graph.nodes].map(({ op }) => op);
  expect(operators(at('fused.onnx'))).toEqual(expect.arrayContaining(fused));
  const flags = ['--data', at('tokens.npz'), '--objective', 'mlm', '--optimizer', 'sgd'];
  for (const name of ['plain', 'fused']) {
    const out = ['--steps', '10', '--batch', '8', '--lr', '0.3', '-o', at(`${name}.trained.onnx`)];
    const run = await xform(['train', at(`${name}.onnx`), ...flags, ...out]);
    expect(run.code === 0 ? '' : run.stderr).toBe('');
  }
  expect(operators(at('fused.trained.onnx'))).toEqual(operators(at('fused.onnx')));
  const verify = (a: string, b: string) =>
    xform(['verify', at(`${a}.onnx`), at(`${b}.onnx`), '--data', at('tokens.npz')]);
  const same = await verify('plain.trained', 'fused.trained');
  expect(same.code).toBe(0);
  const moved = await verify('fused', 'fused.trained');
  expect(moved.code).toBe(4);
}, 60_000);
