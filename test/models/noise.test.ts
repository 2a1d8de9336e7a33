// Noise in the shape that `--data random` makes runs every real model that onnxruntime can run.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** Sizes that no rule can guess. */
const SIZES: Record<string, Map<string, number>> = {};

const folder = sharedPath('models');
const entries: Entry[] = folder
  ? JSON.parse(readFileSync(join(folder, 'MANIFEST.json'), 'utf8')).filter(
      (entry: Entry) => entry.ort.runs,
    )
  : [];

it('has models', () => {
  if (folder) expect(entries.length).toBeGreaterThan(50);
});

it.each(entries.map((entry) => entry.name))('%s', async (name) => {
  const path = join(folder ?? '', name);
  const specs = inputSpecs(readModel(path));
  const { inputs } = assumeSizes(specs, { sizes: SIZES[name] });
  const session = await openSession(path);
  const results = await session.run(randomFeeds(inputs, 0));
  await session.dispose();
  expect(results.size).toBeGreaterThan(0);
});
