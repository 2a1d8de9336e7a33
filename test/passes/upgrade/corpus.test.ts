// Tests that others wrote, lifted: PyTorch's operators as exported at opset 6, and the ONNX operator
// tests, must give the outputs that stand beside them; the ONNX light models what they gave before.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { assumeSizes } from '../../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../../src/data/inputs.ts';
import { randomFeeds } from '../../../src/data/random.ts';
import { checkModel, type Model } from '../../../src/graph/index.ts';
import { decodeTensor, readModel } from '../../../src/onnx/index.ts';
import { NEWEST_OPSET, upgradeOpset } from '../../../src/passes/upgrade/index.ts';
import { VERSIONS } from '../../../src/passes/upgrade/versions.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { compareTensors } from '../../../src/tensor/compare.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { nodeTests, unpacked } from '../../helpers/node-tests.ts';
import { compareModels } from '../../helpers/rewriting.ts';

// As they stand: some of the operator tests hold shapes that its optimizer objects to.
const run = createRunner({ optimization: 'disabled', exact: true });
/** A Fourier transform of 10 numbers leaves 2e-5 where NumPy has 0. */
const TOLERANCE = { rtol: 1e-3, atol: 5e-5 };
const ROOT = unpacked('onnx_backend_simple_pytorch_light.tar.gz', 'xform-backend-tests');
const DATA = ROOT && join(ROOT, 'onnx/backend/test/data');

function foldersOf(kind: string): string[] {
  if (!DATA) return [];
  return readdirSync(join(DATA, kind))
    .map((name) => join(DATA, kind, name))
    .filter((folder) => existsSync(join(folder, 'model.onnx')));
}

/** The tensors of a data set, by the names of what the model declares in this order. */
function tensorsOf(folder: string, kind: 'input' | 'output', values: Model['graph']['inputs']) {
  const tensors = new Map<string, Tensor>();
  values.forEach(({ name }, i) => {
    const path = join(folder, 'test_data_set_0', `${kind}_${i}.pb`);
    if (existsSync(path)) tensors.set(name, decodeTensor(readFileSync(path), path).tensor);
  });
  return tensors;
}

const isTensor = (value: { type?: { kind: string } | undefined }) => value.type?.kind === 'tensor';
const isPlain = (model: Model) => [...model.graph.inputs, ...model.graph.outputs].every(isTensor);

/** Whether an operator of the model has a version between its opset and the target. */
function isOlder(model: Model, target: number): boolean {
  return [...model.graph.nodes].some(({ op, domain }) =>
    VERSIONS[op]?.some((v) => domain === '' && v > model.opset && v <= target),
  );
}

/** Lifts and runs a case; empty when every output is what was expected. */
async function differences(folder: string, target: number): Promise<string[]> {
  const model = readModel(join(folder, 'model.onnx'));
  const { model: lifted, blocked } = upgradeOpset(model, target);
  if (blocked) return [`${folder}: ${blocked.node}: ${blocked.reason}`];
  const problems = checkModel(lifted).map((problem) => `${folder}: ${problem.message}`);
  const { inputs, outputs } = model.graph;
  const results = await run(lifted, tensorsOf(folder, 'input', inputs));
  for (const [name, expected] of tensorsOf(folder, 'output', outputs)) {
    const actual = results.get(name);
    const found = actual && compareTensors(expected, actual, TOLERANCE);
    if (!found?.equal) problems.push(`${folder}: ${name} ${found?.problem ?? found?.maxAbs}`);
  }
  return problems;
}

describe("PyTorch's operators", () => {
  const folders = ['pytorch-operator', 'pytorch-converted'].flatMap(foldersOf);

  it('compute at the newest opsets what PyTorch did', async () => {
    if (!DATA) return;
    expect(folders.length).toBeGreaterThan(100);
    const wrong: string[] = [];
    for (const folder of folders) {
      for (const target of [13, 21, NEWEST_OPSET]) {
        wrong.push(...(await differences(folder, target)));
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('the operator tests', () => {
  const cases = nodeTests().filter(({ folder }) => {
    const model = readModel(join(folder, 'model.onnx'));
    return isPlain(model) && isOlder(model, NEWEST_OPSET);
  });

  it('still pass at the newest opset', async () => {
    if (!ROOT) return;
    expect(cases.length).toBeGreaterThan(300);
    const wrong: string[] = [];
    for (const { folder } of cases) wrong.push(...(await differences(folder, NEWEST_OPSET)));
    expect(wrong).toEqual([]);
  });
});

const lights = DATA
  ? readdirSync(join(DATA, 'light')).filter((name) => name.endsWith('.onnx'))
  : [];

(lights.length > 0 ? it : it.skip).each(lights)('%s computes the same', async (name) => {
  const model = readModel(join(DATA ?? '', 'light', name));
  const { model: lifted, blocked } = upgradeOpset(model, 21);
  expect(blocked).toBeUndefined();
  const { inputs } = assumeSizes(inputSpecs(model));
  await compareModels(model, lifted, randomFeeds(inputs, 0));
});
