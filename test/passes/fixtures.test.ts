// Runs every text fixture: description === graph @@@ expected graph @@@ options (JSON). The pass is the
// one the file is named after, unless the options name others. UPDATE=1 rewrites the expected graphs.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { assumeSizes } from '../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { randomFeeds } from '../../src/data/random.ts';
import { checkModel, type Model, printModel } from '../../src/graph/index.ts';
import { passes } from '../../src/passes/index.ts';
import type { Level, Pass } from '../../src/passes/pass.ts';
import { runPasses } from '../../src/passes/run.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { parseModel } from '../helpers/parse.ts';
import { compareModels } from '../helpers/rewriting.ts';

const FOLDER = 'test/passes/optimize';

interface Options {
  /** Instead of the pass the file is named after. */
  readonly passes?: readonly string[];
  readonly level?: Level;
  /** Sizes of symbolic dimensions in the comparison; a second run takes other ones. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Reasons that must be given for leaving a node alone. */
  readonly skips?: readonly string[];
  /** Results that are equal but for the order of additions need more than the default. */
  readonly tolerance?: { readonly rtol: number; readonly atol: number };
}

interface Fixture {
  readonly file: string;
  readonly description: string;
  readonly input: string;
  readonly expected: string;
  readonly options: Options;
}

function readFixture(file: string): Fixture {
  const text = readFileSync(join(FOLDER, file), 'utf8');
  const [description = '', rest = ''] = text.split(/^===$/m);
  const [input = '', expected = '', options = ''] = rest.split(/^@@@$/m);
  return {
    file,
    description: description.trim(),
    input: input.trim(),
    expected: expected.trim(),
    options: options.trim() ? (JSON.parse(options) as Options) : {},
  };
}

function chosenPasses({ file, options }: Fixture): Pass[] {
  const names = options.passes ?? [file.slice(0, file.indexOf('.'))];
  const found = passes.filter((pass) => names.includes(pass.name));
  for (const name of names) {
    if (!passes.some((pass) => pass.name === name)) throw new Error(`there is no pass "${name}"`);
  }
  return [...new Set(found)];
}

/** The same feeds for both models, with every open dimension at the given size or `other`. */
function feedsFor(model: Model, sizes: Options['sizes'], other: number | undefined) {
  const given = new Map(Object.entries(sizes ?? {}));
  const specs = inputSpecs(model);
  const sized = assumeSizes(specs, { sizes: given, ...(other ? { batch: other } : {}) });
  return randomFeeds(sized.inputs, 0);
}

const run = createRunner();
const print = (model: Model) => printModel(model, { names: false });

const fixtures = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.txt'))
  .sort()
  .map(readFixture);

describe('pass fixtures', () => {
  it.each(fixtures)('$file: $description', async (fixture) => {
    const { options } = fixture;
    const chosen = chosenPasses(fixture);
    const original = parseModel(fixture.input);
    const before = print(original);
    const apply = (model: Model) =>
      runPasses(model, chosen, { run, level: options.level ?? 'basic' });
    const result = await apply(original);
    const after = print(result.model);
    if (process.env['UPDATE']) update(fixture, after);
    else expect(after).toBe(fixture.expected);
    expect(print(original)).toBe(before);
    expect(result.changed).toBe(after !== before);
    expect(checkModel(result.model)).toEqual([]);
    const again = await apply(result.model);
    expect([again.changed, print(again.model)]).toEqual([false, after]);
    const reasons = new Set(result.steps.flatMap((step) => step.skipped.map((s) => s.reason)));
    for (const reason of options.skips ?? []) expect([...reasons]).toContain(reason);
    for (const batch of [undefined, 3]) {
      const feeds = feedsFor(original, options.sizes, batch);
      await compareModels(original, result.model, feeds, options.tolerance);
    }
  });

  it('there is one for every pass of the list', () => {
    const tested = new Set(fixtures.flatMap((f) => chosenPasses(f).map((pass) => pass.name)));
    const missing = passes.filter((pass) => CLEANUP.test(pass.name) && !tested.has(pass.name));
    expect(missing.map((pass) => pass.name)).toEqual([]);
  });
});

/** Fusions and motion are tested on models made by code, in the files beside this one. */
const CLEANUP = /^(fold|drop|merge|inline|extract|sort)-/;

function update(fixture: Fixture, after: string): void {
  const { file, description, input, options } = fixture;
  const tail = Object.keys(options).length > 0 ? `@@@\n${JSON.stringify(options)}\n` : '';
  const text = `${description}\n===\n${input}\n@@@\n${after}\n${tail}`;
  writeFileSync(join(FOLDER, file), text);
}
