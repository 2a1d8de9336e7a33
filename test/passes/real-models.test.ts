// Every runnable model beside the checkout: all passes, without the check that would take a wrong one
// back, give a model that loads, has no more nodes, and computes the same on inputs of several sizes.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { checkSamples } from '../../src/cli/check-samples.ts';
import { allGraphs, checkModel, type Model } from '../../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../../src/onnx/index.ts';
import { makeCheck } from '../../src/passes/check.ts';
import { passes } from '../../src/passes/index.ts';
import type { Level } from '../../src/passes/pass.ts';
import { countNodes, runPasses } from '../../src/passes/run.ts';
import { COMPARABLE, createRunner } from '../../src/runtime/runner.ts';
import { sharedPath } from '../helpers/shared.ts';

interface Row {
  readonly name: string;
  readonly ort: { readonly runs: boolean | null; readonly run_ms: number | null };
}

/** A run of these takes seconds; they are part of the benchmark. */
const SLOW_MS = 400;

/** The kernels of com.microsoft approximate tanh otherwise; deep models make more of it. */
const OTHER_KERNELS = { rtol: 1e-2, atol: 1e-3 };

const run = createRunner({ ...COMPARABLE, optimization: 'disabled' });

function rows(): Row[] {
  const manifest = sharedPath('models', 'MANIFEST.json');
  if (!manifest) return [];
  const all = JSON.parse(readFileSync(manifest, 'utf8')) as Row[];
  return all.filter(({ ort }) => ort.runs && (ort.run_ms ?? 0) < SLOW_MS);
}

async function optimize(model: Model, level: Level): Promise<Model> {
  const chosen = passes.filter(
    (pass) => !pass.onDemand && (level === 'extended' || pass.level === 'basic'),
  );
  const result = await runPasses(model, chosen, { run, level });
  expect(result.steps.filter((step) => step.undone)).toEqual([]);
  expect(result.settled).toBe(true);
  expect(checkModel(result.model)).toEqual([]);
  expect(countNodes(result.model)).toBeLessThanOrEqual(countNodes(model));
  return decodeModel(await encodeModel(result.model));
}

/** Nodes that only onnxruntime knows. */
function foreign(model: Model): number {
  const nodes = [...allGraphs(model)].flatMap((graph) => [...graph.nodes]);
  return nodes.filter((node) => node.domain === 'com.microsoft').length;
}

describe('real models', () => {
  const all = rows();
  it.each(all.length > 0 ? all.map(({ name }) => name) : ['(none here)'])('%s', async (name) => {
    const path = all.length > 0 ? sharedPath('models', name) : undefined;
    if (!path) return;
    const model = readModel(path);
    const samples = checkSamples(model, 7);
    const checks = {
      basic: await makeCheck(model, run, samples),
      extended: await makeCheck(model, run, samples, OTHER_KERNELS),
    };
    for (const level of ['basic', 'extended'] as const) {
      const optimized = await optimize(model, level);
      expect([level, await checks[level].compare(optimized)]).toEqual([level, undefined]);
      const names = (m: Model) => m.graph.outputs.map((value) => value.name);
      expect(names(optimized)).toEqual(names(model));
      if (level === 'basic') expect(foreign(optimized)).toBeLessThanOrEqual(foreign(model));
    }
  });
});
