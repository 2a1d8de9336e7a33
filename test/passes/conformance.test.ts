// ONNX's own operator tests, before and after all passes: with inputs as they are, and with all or all
// but the first of them turned into constants, which folding then meets. Expected values are ONNX's.

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import type { Batch } from '../../src/data/dataset.ts';
import { inputSpecs, unfeedableInputs } from '../../src/data/inputs.ts';
import { openDataset } from '../../src/data/open.ts';
import { Builder, checkModel, type Model, type Value } from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { passes } from '../../src/passes/index.ts';
import { runPasses } from '../../src/passes/run.ts';
import { COMPARABLE, createRunner } from '../../src/runtime/runner.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { nodeTests } from '../helpers/node-tests.ts';

const TOLERANCE = { rtol: 1e-3, atol: 1e-4 };
const run = createRunner({ ...COMPARABLE, optimization: 'disabled', threads: 1 });
const chosen = passes.filter((pass) => !pass.onDemand);

/** Inputs from `first` on become constants, and the results pass through one more node. */
function withConstants(model: Model, feeds: Feeds, first: number): Model {
  const copy = model.clone();
  const { graph } = copy;
  const fixed = graph.inputs.splice(first);
  for (const value of fixed) {
    const data = feeds.get(value.name);
    if (!data) continue;
    value.data = data;
    graph.initializers.add(value);
  }
  const g = new Builder(graph);
  graph.outputs = graph.outputs.map((value): Value => {
    const { name, type } = value;
    value.name = graph.fresh(`${name}_inner`);
    const last = g.op('Identity', [value]);
    last.name = name;
    last.type = type;
    return last;
  });
  return copy;
}

/** What is wrong with the optimised model; '' for nothing. */
async function problemOf(model: Model, feeds: Feeds, targets: Feeds): Promise<string> {
  const result = await runPasses(model, chosen, { run, level: 'extended' });
  const undone = result.steps.find((step) => step.undone);
  if (undone) return `${undone.pass}: ${undone.undone}`;
  const [broken] = checkModel(result.model);
  if (broken) return broken.message;
  if (!result.changed) return '';
  const inputs = new Set(result.model.graph.inputs.map((value) => value.name));
  const actual = await run(result.model, new Map([...feeds].filter(([name]) => inputs.has(name))));
  const expected = [...targets.values()];
  const differing = [...actual].filter(([, tensor], i) => {
    const wanted = expected[i];
    return (
      wanted && wanted.dtype === tensor.dtype && !compareTensors(wanted, tensor, TOLERANCE).equal
    );
  });
  return differing.map(([name]) => `"${name}" differs`).join();
}

async function checkVariants(folder: string): Promise<string[]> {
  const model = readModel(join(folder, 'model.onnx'));
  const { outputs } = model.graph;
  if (unfeedableInputs(model).length > 0 || outputs.some((v) => v.type?.kind !== 'tensor'))
    return [];
  const data = await openDataset(folder, inputSpecs(model), { seed: 0 });
  let batch: Batch | undefined;
  for await (const one of data.batches(1)) batch ??= one;
  if (!batch) return [];
  const { feeds, targets } = batch;
  const variants: [string, Model][] = [
    ['as it is', model],
    ['all constant', withConstants(model, feeds, 0)],
    ['first input fed', withConstants(model, feeds, 1)],
  ];
  const problems: string[] = [];
  for (const [name, variant] of variants) {
    // What onnxruntime does not run with constants says nothing about passes.
    const runs = await run(variant, name === 'all constant' ? new Map() : feeds).then(
      () => true,
      () => false,
    );
    if (!runs) continue;
    const problem = await problemOf(variant, feeds, targets).catch((e: Error) => String(e.stack));
    if (problem) problems.push(`${name}: ${problem}`);
  }
  return problems;
}

it('passes keep what operators compute', async () => {
  const stride = Number(process.env['XFORM_CONFORMANCE_STRIDE'] ?? 4);
  const tests = nodeTests('pass').filter((_, i) => i % stride === 0);
  const failed: string[] = [];
  for (const { name, folder } of tests) {
    for (const problem of await checkVariants(folder)) failed.push(`${name}, ${problem}`);
  }
  expect(failed).toEqual([]);
}, 600_000);
