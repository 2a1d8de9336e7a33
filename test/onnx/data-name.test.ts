import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { dataFilesOf, readModel, writeModel } from '../../src/onnx/index.ts';
import { parseModel } from '../helpers/parse.ts';

it('gives the data file the name that was asked for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
  const path = join(folder, 'model.onnx');
  const model = parseModel('g (float[2048] x) => (y) <float[2048] w = random> { y = Add(x, w) }');
  const written = await writeModel(model, path, {
    externalData: true,
    dataName: 'model.onnx_data',
  });
  expect(written.dataPath).toBe(join(folder, 'model.onnx_data'));
  expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'model.onnx_data']);
  expect([...dataFilesOf(path)]).toEqual(['model.onnx_data']);
  const [weight] = readModel(path).graph.initializers;
  const [original] = model.graph.initializers;
  expect(weight?.data?.numbers()).toEqual(original?.data?.numbers());
  rmSync(folder, { recursive: true });
});
