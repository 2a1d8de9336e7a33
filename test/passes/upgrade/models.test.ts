// Real models, lifted: each computes in onnxruntime what it computed before, or says what holds it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { assumeSizes } from '../../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../../src/data/inputs.ts';
import { randomFeeds } from '../../../src/data/random.ts';
import { checkModel } from '../../../src/graph/index.ts';
import { readModel } from '../../../src/onnx/index.ts';
import { upgradeOpset } from '../../../src/passes/upgrade/index.ts';
import { compareModels } from '../../helpers/rewriting.ts';
import { sharedPath } from '../../helpers/shared.ts';

const TARGET = 21;

/** onnxruntime's AveragePool of opset 19 adds in another order, which can tip an 8-bit result. */
const ONE_STEP: Readonly<Record<string, number>> = { 'microkws_m_qdq_dyn.onnx': 1 / 255 };

const folder = sharedPath('models');
const entries: { readonly name: string; readonly ort: { readonly runs: boolean } }[] = folder
  ? JSON.parse(readFileSync(join(folder, 'MANIFEST.json'), 'utf8'))
  : [];
const onnx = entries.filter(({ name }) => name.endsWith('.onnx'));
const runnable = onnx.filter(({ ort }) => ort.runs);

(folder ? it : it.skip).each(runnable)('$name', async ({ name }) => {
  const model = readModel(join(folder ?? '', name));
  const result = upgradeOpset(model, TARGET);
  expect(result.blocked).toBeUndefined();
  expect(checkModel(result.model)).toEqual(checkModel(model));
  const { inputs } = assumeSizes(inputSpecs(model));
  const tolerance = { rtol: 1e-3, atol: 1.01 * (ONE_STEP[name] ?? 1e-5) };
  await compareModels(model, result.model, randomFeeds(inputs, 0), tolerance);
});

(folder ? it : it.skip)('lifts all but those with operators outside of the standard', () => {
  const blocked = onnx.flatMap(({ name }) => {
    const { blocked } = upgradeOpset(readModel(join(folder ?? '', name)), TARGET);
    return blocked ? [`${name}: ${blocked.reason}`] : [];
  });
  expect(blocked.sort()).toEqual([
    // It claims opset 1, but holds forms of later ones; nothing runs it.
    'burn_opset1.onnx: it normalises by the statistics of the batch (is_test is not set)',
    'deeploy_microllama8.onnx: "iRMSNorm" is not an operator of the standard',
    'deeploy_mlperf_ic.onnx: "RequantShift" is not an operator of the standard',
  ]);
});
