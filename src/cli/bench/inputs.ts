// Makes what `bench` measures out of a path: feeds for each batch size, from noise or from data, and
// the work of one run.

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assumeSizes } from '../../data/assume-sizes.ts';
import { type BoundedInput, inputSpecs, unfeedableInputs } from '../../data/inputs.ts';
import { openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import { randomFeeds } from '../../data/random.ts';
import { usageProblem } from '../../errors/usage.ts';
import { cannotFeed } from '../../errors/verify.ts';
import { type Model, tensorType } from '../../graph/index.ts';
import { readModel } from '../../onnx/index.ts';
import { modelCost } from '../../ops/cost.ts';
import { inferTypes } from '../../ops/index.ts';
import type { Warning } from '../../report/report.ts';
import type { BenchModel } from '../../runtime/bench.ts';
import { scratchFolder } from '../../runtime/scratch.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { setKnownSizes } from '../sizes.ts';

export interface BenchInput {
  readonly sizes: ReadonlyMap<string, number>;
  /** `--data`; undefined for noise. */
  readonly data: string | undefined;
  readonly dataOptions: DataOptions;
  /** Whether the user gave batch sizes. */
  readonly batchGiven: boolean;
}

export interface PreparedModel extends BenchModel {
  readonly model: Model;
  /** Names of the dimensions that `--set` can fix. */
  readonly dims: ReadonlySet<string>;
  readonly warnings: readonly Warning[];
}

/** Reads the model's interface; its weights stay in the file. `-` is standard input. */
export function prepareModel(name: string, file: string, input: BenchInput): PreparedModel {
  const path = file === '-' ? spoolInput() : file;
  statSync(path);
  const model = readModel(path);
  const dims = setKnownSizes(model, input.sizes);
  const unfeedable = unfeedableInputs(model);
  if (unfeedable.length > 0) throw cannotFeed(name, unfeedable);
  const specs = inputSpecs(model);
  const { assumed, hasBatch } = assumeSizes(specs, { sizes: input.sizes });
  if (input.batchGiven && !hasBatch) {
    throw usageProblem(
      `"${name}" has no open batch dimension, so --batch cannot change it`,
      'Leave --batch out to measure it at its own batch size.',
    );
  }
  const macs = new Map<number, number | undefined>();
  return {
    name,
    path,
    model,
    dims,
    freeDims: input.sizes,
    warnings: [...assumed].map(([dim, size]) => assumedSize(name, dim, size)),
    feeds: (batch) => feedsFor(specs, batch, input),
    macs: (batch) => {
      if (!macs.has(batch)) macs.set(batch, macsAt(model, specs, batch, input));
      return macs.get(batch);
    },
  };
}

/** Loading is measured from a file, so what comes through a pipe becomes one. */
function spoolInput(): string {
  const path = join(scratchFolder().path, 'model.onnx');
  writeFileSync(path, readFileSync(process.stdin.fd));
  return path;
}

function assumedSize(name: string, dim: string, size: number): Warning {
  return {
    code: 'assumed-size',
    message: `dimension "${dim}" is open: ${size} was taken, --set ${dim}=N takes another`,
    where: name,
  };
}

async function feedsFor(specs: readonly BoundedInput[], batch: number, input: BenchInput) {
  if (input.data !== undefined && input.data !== 'random') {
    const dataset = await openDataset(input.data, specs, input.dataOptions);
    for await (const { feeds } of dataset.batches(batch))
      return { feeds, samples: samplesOf(feeds) };
    throw usageProblem(`"${input.data}" holds no samples`);
  }
  const { inputs, hasBatch } = assumeSizes(specs, { batch, sizes: input.sizes });
  const feeds = randomFeeds(inputs, input.dataOptions.seed);
  return { feeds, samples: hasBatch ? batch : samplesOf(feeds) };
}

/** The first dimension, where all inputs agree on it. */
function samplesOf(feeds: Feeds): number {
  const firsts = new Set([...feeds.values()].map(({ shape }) => shape[0]));
  const [first] = firsts;
  return firsts.size === 1 && first !== undefined ? first : 1;
}

/** Multiply-adds of one run on inputs of these sizes. */
function macsAt(
  model: Model,
  specs: readonly BoundedInput[],
  batch: number,
  input: BenchInput,
): number | undefined {
  const sized = model.clone();
  const { inputs } = assumeSizes(specs, { batch, sizes: input.sizes });
  const shapes = new Map(inputs.map(({ name, dtype, shape }) => [name, tensorType(dtype, shape)]));
  // Weights that are inputs, too, are left at their defaults, so here they are constants.
  sized.graph.inputs = sized.graph.inputs.filter((value) => !value.data);
  for (const value of sized.graph.inputs) value.type = shapes.get(value.name) ?? value.type;
  inferTypes(sized);
  const { macs } = modelCost(sized);
  return typeof macs === 'number' && macs > 0 ? macs : undefined;
}
