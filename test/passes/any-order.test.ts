// Any passes in any order keep what a model computes: they may rely on one another for effect, never
// for truth.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assumeSizes } from '../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { randomFeeds } from '../../src/data/random.ts';
import { checkModel, type Model } from '../../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../../src/onnx/index.ts';
import { makeCheck } from '../../src/passes/check.ts';
import { passes } from '../../src/passes/index.ts';
import { runPasses } from '../../src/passes/run.ts';
import { COMPARABLE, createRunner } from '../../src/runtime/runner.ts';
import { parseModel } from '../helpers/parse.ts';

const FOLDER = 'test/passes/optimize';
// Its own fusions are off: in version 1.30 the one of Pad into MaxPool computes something else.
const run = createRunner({ ...COMPARABLE, optimization: 'disabled' });

/** The graphs of the text fixtures, and the models of the repository. */
const models: readonly (readonly [string, () => Model])[] = [
  ...readdirSync(FOLDER)
    .filter((file) => file.endsWith('.txt'))
    .sort()
    .map((file) => {
      const text = readFileSync(join(FOLDER, file), 'utf8');
      const [, rest = ''] = text.split(/^===$/m);
      return [file, () => parseModel(rest.split(/^@@@$/m)[0] ?? '')] as const;
    }),
  ...['digits.onnx', 'digits-transformer.onnx'].map(
    (file) => [file, () => readModel(join('fixtures', file))] as const,
  ),
];

const distinct = [...new Set(passes)];

it('any passes in any order keep the results', async () => {
  const anyModel = fc.nat({ max: models.length - 1 });
  const anyPasses = fc.shuffledSubarray(distinct, { minLength: 3 });
  const property = fc.asyncProperty(anyModel, anyPasses, fc.boolean(), async (at, chosen, wide) => {
    const [name, make] = models[at] ?? ['', () => parseModel('')];
    const original = make();
    const level = chosen.some((pass) => pass.level === 'extended') ? 'extended' : 'basic';
    const result = await runPasses(original, chosen, { run, level, maxRounds: 4 });
    expect([name, checkModel(result.model)]).toEqual([name, []]);
    // As a file holds it: names and types have to survive.
    const written = decodeModel(await encodeModel(result.model));
    const { inputs } = assumeSizes(inputSpecs(original), { batch: wide ? 3 : 1 });
    const check = await makeCheck(original, run, [randomFeeds(inputs, 1)]);
    expect([name, await check.compare(written)]).toEqual([name, undefined]);
  });
  const runs = Number(process.env['XFORM_PROPERTY_RUNS'] ?? 250);
  await fc.assert(property, { seed: 20, numRuns: runs, endOnFailure: true });
}, 300_000);
