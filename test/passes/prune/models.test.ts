// Structured pruning of real models: what is left loads, runs and computes the same; with groups that
// are cut through a normalisation, too, it runs and its outputs keep their shapes.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { checkSamples } from '../../../src/cli/check-samples.ts';
import { readModel } from '../../../src/onnx/index.ts';
import { cutUnits } from '../../../src/passes/prune/cut.ts';
import { findGroups } from '../../../src/passes/prune/group.ts';
import { unshare } from '../../../src/passes/prune/unshare.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { sharedPath } from '../../helpers/shared.ts';
import { expectExact, run } from './exactness.ts';
import { chooseRandomly } from './masked.ts';

interface Row {
  readonly name: string;
  readonly ort: { readonly runs: boolean | null; readonly run_ms: number | null };
}

/** A run of these takes seconds; they are part of the benchmark. */
const SLOW_MS = 200;

function rows(): Row[] {
  const manifest = sharedPath('models', 'MANIFEST.json');
  if (!manifest) return [];
  const all = JSON.parse(readFileSync(manifest, 'utf8')) as Row[];
  return all.filter(({ ort }) => ort.runs && (ort.run_ms ?? 0) < SLOW_MS);
}

const shapesOf = (results: Feeds) => [...results].map(([name, { shape }]) => [name, shape]);

describe('real models', () => {
  const all = rows();
  it.each(all.length > 0 ? all.map(({ name }) => name) : ['(none here)'])('%s', async (name) => {
    const path = all.length > 0 ? sharedPath('models', name) : undefined;
    if (!path) return;
    const model = readModel(path);
    unshare(model);
    const { groups } = findGroups(model);
    const feeds = checkSamples(model, 7).at(-1) as Feeds;
    const choices = chooseRandomly(groups, 0.5);
    if (choices.length > 0) await expectExact(model, feeds, choices);
    const mixed = groups.filter(({ exact }) => !exact);
    if (mixed.length === 0) return;
    const before = shapesOf(await run(model, feeds));
    cutUnits(model, chooseRandomly(groups, 0.5, { withMixed: true }));
    expect(shapesOf(await run(model, feeds))).toEqual(before);
  });
});
