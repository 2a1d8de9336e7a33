// Decode, encode, execute: every ONNX operator test that onnxruntime passes must pass through the
// runner, too. Expected values are ONNX's own.

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import type { Batch } from '../../src/data/dataset.ts';
import { inputSpecs, unfeedableInputs } from '../../src/data/inputs.ts';
import { openDataset } from '../../src/data/open.ts';
import type { Model } from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { type NodeTest, nodeTests } from '../helpers/node-tests.ts';

/** ONNX's own runner has 1e-3 and 1e-7; Fourier transforms of onnxruntime are off by up to 8.4e-5. */
const TOLERANCE = { rtol: 1e-3, atol: 1e-4 };
/** Its optimisation fails on some cases (constant folding makes scalars of rank 1), hence disabled. */
const run = createRunner({ optimization: 'disabled', exact: true, threads: 1 });

/** onnxruntime has no kernel for float4e2m1, and wraps around where Cast to 4 bits has to saturate. */
const ITS_OWN_FAULTS = [
  'test_cast_FLOAT16_to_FLOAT4E2M1',
  'test_cast_FLOAT16_to_INT4',
  'test_cast_FLOAT_to_FLOAT4E2M1',
  'test_cast_FLOAT_to_INT4',
  'test_cast_FLOAT_to_UINT4',
  'test_dequantizelinear_float4e2m1',
  'test_quantizelinear_float4e2m1',
];

/** Cases whose inputs or outputs are no tensors: they cannot pass through a session in Node. */
function isFeedable(model: Model): boolean {
  const kinds = model.graph.outputs.map((value) => value.type?.kind);
  return unfeedableInputs(model).length === 0 && kinds.every((kind) => kind === 'tensor');
}

/** Differences from the expected outputs, as text; undefined when the case cannot be fed. */
async function check(test: NodeTest): Promise<string | undefined> {
  const model = readModel(join(test.folder, 'model.onnx'));
  if (!isFeedable(model)) return undefined;
  const data = await openDataset(test.folder, inputSpecs(model), { seed: 0 });
  const problems: string[] = [];
  for await (const batch of data.batches(1)) problems.push(...(await checkSet(model, batch)));
  return problems.join('; ');
}

async function checkSet(model: Model, { feeds, targets }: Batch): Promise<string[]> {
  const results = [...(await run(model, feeds))];
  return [...targets.values()].flatMap((expected, i) => {
    const [name, actual] = results[i] ?? [];
    if (!actual) return [`output ${i} is missing`];
    const wanted = asDeclared(expected, actual);
    const { equal, problem, maxAbs } = compareTensors(wanted, actual, TOLERANCE);
    return equal ? [] : [`${name}: ${problem ?? `off by ${maxAbs}`}`];
  });
}

/** NumPy has no bfloat16: the test data holds its bits. */
function asDeclared(expected: Tensor, actual: Tensor): Tensor {
  const bits = actual.dtype === 'bfloat16' && expected.dtype === 'uint16';
  return bits ? Tensor.fromBytes('bfloat16', expected.shape, expected.bytes()) : expected;
}

async function checkAll(tests: readonly NodeTest[]) {
  const failed: string[] = [];
  let passed = 0;
  let skipped = 0;
  for (const test of tests) {
    const problem = await check(test).catch((error: Error) => error.message);
    if (problem === undefined) skipped += 1;
    else if (problem === '') passed += 1;
    else failed.push(`${test.name}: ${problem}`);
  }
  return { passed, skipped, failed };
}

it('passes what onnxruntime passes', async () => {
  const tests = nodeTests('pass');
  const { passed, skipped, failed } = await checkAll(tests);
  process.stdout.write(`operator tests run: ${passed} passed, ${skipped} without tensors\n`);
  expect(failed).toEqual([]);
  if (tests.length > 0) expect(passed).toBeGreaterThan(800);
});

it('passes what onnxruntime-node alone cannot hand over', async () => {
  const tests = nodeTests('unsup');
  const { passed, skipped, failed } = await checkAll(tests);
  process.stdout.write(`with narrow types: ${passed} passed, ${skipped} without tensors\n`);
  const names = failed.map((text) => text.split(':')[0]);
  expect(names).toEqual(tests.length > 0 ? ITS_OWN_FAULTS : []);
});
