// Mode mixed: what each precision costs every layer, in bytes or in measured milliseconds, and the
// search for the choice that keeps the limit the user set.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { mixedNeedsLimit } from '../../errors/limit.ts';
import { allGraphs, type Model } from '../../graph/index.ts';
import { writeModel } from '../../onnx/index.ts';
import { constantData } from '../../ops/index.ts';
import { layerName, type Precision } from '../../passes/quantize/context.ts';
import type { Settings } from '../../passes/quantize/settings.ts';
import { profileModel } from '../../runtime/bench.ts';
import { scratchFolder } from '../../runtime/scratch.ts';
import type { Limit } from '../limits.ts';
import type { Trials } from '../trials.ts';
import { layerTimes, timeAgainst } from './keep-faster.ts';
import { type Quantized, quantizedLayers } from './quantizer.ts';
import { type CostOf, type MixedLimit, mix, type Tuned, type TuneInput } from './tune.ts';

export interface MixedInput {
  /** As it is before quantisation: layers have the names they have there. */
  readonly float: Model;
  readonly settings: Settings;
  readonly maxDrop?: number | undefined;
  readonly limit?: Limit | undefined;
}

const CANDIDATES: readonly Precision[] = ['int8', 'int4', 'fp16'];

export async function mixToLimit(
  tuning: TuneInput,
  input: MixedInput,
  trials: Trials,
  all: Quantized,
): Promise<Tuned> {
  const { maxDrop, limit } = input;
  const byTime = limit?.kind === 'ms';
  const costOf = byTime
    ? await timeCosts(tuning, trials, all)
    : byteCosts(input.float, input.settings);
  if (limit) {
    const measure = byTime
      ? async (quantized: Quantized) => (await timeAgainst(trials.speed, quantized)).contender.p50
      : bytesOf;
    const before = byTime
      ? (await timeAgainst(trials.speed, all)).reference.p50
      : statSync(trials.speed.reference).size;
    const target: MixedLimit = { kind: limit.kind, limit: limit.of(before), measure };
    return mix(tuning, CANDIDATES, all, costOf, target);
  }
  if (maxDrop === undefined) throw mixedNeedsLimit();
  return mix(tuning, CANDIDATES, all, costOf, { kind: 'drop', limit: maxDrop, measure: bytesOf });
}

async function bytesOf({ model }: Quantized): Promise<number> {
  const folder = scratchFolder();
  try {
    const { bytes, dataBytes } = await writeModel(model.clone(), join(folder.path, 'model.onnx'));
    return bytes + dataBytes;
  } finally {
    folder.remove();
  }
}

/** Bytes per weight; four bits come with a float32 scale per block. */
function byteCosts(model: Model, { block }: Settings): CostOf {
  const weights = new Map<string, number>();
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) {
      const sizes = node.inputs.map((value) => (value && constantData(value)?.size) ?? 0);
      weights.set(layerName(node), Math.max(0, ...sizes));
    }
  }
  const perWeight: Partial<Record<Precision, number>> = {
    float: 4,
    fp16: 2,
    int8: 1,
    int4: 0.5 + (block === 'channel' ? 0 : 4 / block),
  };
  return (layer, precision) => (weights.get(layer) ?? 0) * (perWeight[precision] ?? 4);
}

/** Milliseconds per layer in the models of which all layers have one precision. */
async function timeCosts(tuning: TuneInput, trials: Trials, all: Quantized): Promise<CostOf> {
  const names = quantizedLayers(all);
  const folder = scratchFolder();
  const { feeds, session, reference } = trials.speed;
  const profileOf = async (path: string) =>
    layerTimes(await profileModel(path, feeds, session), names);
  const times = new Map<Precision, ReadonlyMap<string, number>>();
  try {
    times.set('float', await profileOf(reference));
    for (const precision of CANDIDATES) {
      const wanted = new Map(names.map((name) => [name, precision] as const));
      const { model } = await tuning.quantizer(new Map([...tuning.layers, ...wanted]));
      const file = join(folder.path, `${precision}.onnx`);
      await writeModel(model.clone(), file);
      times.set(precision, await profileOf(file));
    }
  } finally {
    folder.remove();
  }
  const float = (layer: string) => times.get('float')?.get(layer) ?? 0;
  return (layer, precision) => times.get(precision)?.get(layer) ?? float(layer);
}
