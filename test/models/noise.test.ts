// Noise in the shape that `--data random` makes runs every real model that onnxruntime can run.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from '@jest/globals';
import { assumeSizes } from '../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { randomFeeds } from '../../src/data/random.ts';
import { readModel } from '../../src/onnx/index.ts';
import { openSession } from '../../src/runtime/session.ts';
import { sharedPath } from '../helpers/shared.ts';

interface Entry {
  readonly name: string;
  readonly ort: { readonly runs: boolean };
}

const folder = sharedPath('models');
const entries: Entry[] = folder
  ? JSON.parse(readFileSync(join(folder, 'MANIFEST.json'), 'utf8'))
  : [];
const models = [
  ...readdirSync('fixtures')
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => join('fixtures', name)),
  ...entries.filter(({ ort }) => ort.runs).map(({ name }) => join(folder ?? '', name)),
];

it.each(models.map((path) => [basename(path), path]))('%s', async (_name, path) => {
  const { inputs } = assumeSizes(inputSpecs(readModel(path)));
  const session = await openSession(path);
  const results = await session.run(randomFeeds(inputs, 0));
  await session.dispose();
  expect(results.size).toBeGreaterThan(0);
});
