// ONNX's own operator tests in half precision, each with all of it that may be half: the result loads
// and runs, or the operator stays float32, and what half kernels would compute is near.

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import type { Batch } from '../../../src/data/dataset.ts';
import { inputSpecs, unfeedableInputs } from '../../../src/data/inputs.ts';
import { openDataset } from '../../../src/data/open.ts';
import { readModel } from '../../../src/onnx/index.ts';
import { halve, planOnly } from '../../helpers/halving.ts';
import { type NodeTest, nodeTests } from '../../helpers/node-tests.ts';

const NEAR = 6e-3;

/** Inputs that differ by less than half can tell. */
const TOO_CLOSE = /(softmax|logsoftmax)_large_number/;

async function problemOf({ name, folder }: NodeTest): Promise<string | undefined> {
  const model = readModel(join(folder, 'model.onnx'));
  if (unfeedableInputs(model).length > 0) return undefined;
  if (
    model.graph.outputs.some(({ type, dtype }) => type?.kind !== 'tensor' || dtype === 'string')
  ) {
    return undefined;
  }
  const data = await openDataset(folder, inputSpecs(model), { seed: 0 });
  let batch: Batch | undefined;
  for await (const one of data.batches(1)) batch ??= one;
  if (!batch) return undefined;
  const { feeds } = batch;
  const wanted = () => 'fp16' as const;
  const { ops } = await planOnly(model, { wanted });
  if (!ops.some((op) => op.endsWith('float16'))) return undefined;
  halved += 1;
  const { error } = await halve(model, { feeds, wanted });
  return error <= NEAR || TOO_CLOSE.test(name) ? undefined : `off by ${error}`;
}

let halved = 0;

it('keeps every operator right', async () => {
  const tests = nodeTests();
  const problems: string[] = [];
  for (const test of tests) {
    const problem = await problemOf(test).catch((error: Error) => error.message);
    if (problem) problems.push(`${test.name}: ${problem}`);
  }
  expect(problems).toEqual([]);
  if (tests.length > 0) expect(halved).toBeGreaterThan(200);
});
