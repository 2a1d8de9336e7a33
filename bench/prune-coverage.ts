// Coverage and exactness of structured pruning for one model: `node FILE MODEL|ARCH [JSON]`. Prints one
// JSON object.

import { architectureNamed } from '../src/archs/index.ts';
import { checkSamples } from '../src/cli/check-samples.ts';
import { checkModel, type Model } from '../src/graph/index.ts';
import { readModel } from '../src/onnx/index.ts';
import { coverageOf } from '../src/passes/prune/coverage.ts';
import { findGroups, type Group } from '../src/passes/prune/group.ts';
import { targetOf } from '../src/passes/prune/targets.ts';
import { cutCopy } from '../src/passes/prune/translate.ts';
import { unshare } from '../src/passes/prune/unshare.ts';
import { COMPARABLE, createRunner } from '../src/runtime/runner.ts';
import { compareTensors } from '../src/tensor/compare.ts';
import type { Feeds } from '../src/tensor/feeds.ts';
import { chooseRandomly, masked } from '../test/passes/prune/masked.ts';

const run = createRunner({ ...COMPARABLE, optimization: 'disabled' });

interface Cut {
  readonly amount: number;
  readonly params: number;
  readonly flops: number;
  /** Length of the difference to the original with zeros by the length of that; of the worst output. */
  readonly error?: number;
  readonly failed?: string;
}

async function cutAndCompare(
  model: Model,
  groups: readonly Group[],
  amount: number,
  feeds: Feeds | undefined,
): Promise<Cut> {
  const choices = chooseRandomly(groups, amount);
  const pruned = cutCopy(model, choices);
  const share = async (name: 'params' | 'flops') => {
    const { cost } = targetOf(name, 0);
    return (await cost(pruned)) / (await cost(model));
  };
  const sizes = { amount, params: await share('params'), flops: await share('flops') };
  const [problem] = checkModel(pruned);
  if (problem) return { ...sizes, failed: problem.message };
  if (!feeds) return sizes;
  const [expected, actual] = [await run(masked(model, choices), feeds), await run(pruned, feeds)];
  let error = 0;
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (!other) return { ...sizes, failed: `no output "${name}"` };
    const found = compareTensors(tensor, other, { rtol: 0, atol: 0 });
    if (found.problem || found.nonFinite > 0)
      return { ...sizes, failed: found.problem ?? `"${name}" is not finite` };
    error = Math.max(error, found.relNorm);
  }
  return { ...sizes, error };
}

async function measure(name: string, choices: string | undefined) {
  const isFile = name.endsWith('.onnx');
  const model = isFile
    ? readModel(name)
    : architectureNamed(name).build(JSON.parse(choices ?? '{}'), 0);
  unshare(model);
  const start = performance.now();
  const found = findGroups(model);
  const ms = performance.now() - start;
  const feeds = process.argv.includes('--no-run') ? undefined : checkSamples(model, 7).at(-1);
  const exact = found.groups.filter((group) => group.exact);
  const cuts: Cut[] = [];
  for (const amount of exact.length > 0 ? [0.3, 0.5] : []) {
    try {
      cuts.push(await cutAndCompare(model, found.groups, amount, feeds));
    } catch (error) {
      cuts.push({ amount, params: 1, flops: 1, failed: String((error as Error).message) });
    }
  }
  return {
    ...coverageOf(model, found),
    ms,
    groups: found.groups.length,
    units: found.groups.reduce((sum, group) => sum + group.units, 0),
    mixed: found.groups.filter((group) => !group.exact).map((group) => group.name),
    cuts,
  };
}

const [, , name = '', choices] = process.argv;
process.stdout.write(`${JSON.stringify(await measure(name, choices))}\n`);
