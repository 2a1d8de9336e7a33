// Chooses the layers: by --max-drop the most sensitive ones are left float; in mode mixed every layer
// gets the precision that fits the limit.

import type { XformError } from '../../errors/error.ts';
import { dropNotMet, limitOutOfReach } from '../../errors/limit.ts';
import type { Precision } from '../../passes/quantize/context.ts';
import {
  type Choice,
  type ChoicesByLayer,
  chooseAt,
  prices,
  searchPrice,
} from '../../passes/quantize/mixed.ts';
import { excludeWorst, type Sensitivity, scanLayers } from '../../passes/quantize/search.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { Judge } from '../judge.ts';
import { type Layers, type Quantized, type Quantizer, quantizedLayers } from './quantizer.ts';

export interface Tuned {
  readonly layers: Layers;
  readonly quantized: Quantized;
  readonly sensitivity: readonly Sensitivity[];
  readonly trials: number;
  readonly unmet?: XformError | undefined;
}

export interface TuneInput {
  readonly quantizer: Quantizer;
  readonly judge: Judge;
  readonly reporter: Reporter;
  /** Choices that stand before the search: those of a recipe. */
  readonly layers: Layers;
}

/** Fidelity of the model of which one layer after the other is quantised alone. */
export async function scan(input: TuneInput, all: Quantized): Promise<Sensitivity[]> {
  const names = quantizedLayers(all);
  const step = input.reporter.step('scanning layers', names.length);
  const scoreOf = async (layer: string) => {
    const others = names.filter((name) => name !== layer).map((name) => [name, 'float'] as const);
    const { model } = await input.quantizer(new Map([...input.layers, ...others]));
    const { fidelity } = await input.judge.judge(model);
    input.reporter.detail(`${layer}: fidelity ${fidelity.toFixed(5)} when it alone is quantised`);
    return fidelity;
  };
  const found = await scanLayers(names, scoreOf, () => step.advance());
  step.done();
  return found;
}

/** Leaves the fewest layers float so that no more than `maxDrop` of the score is lost. */
export async function limitDrop(
  input: TuneInput,
  all: Quantized,
  maxDrop: number,
  sensitivity?: readonly Sensitivity[],
): Promise<Tuned> {
  const { judge, reporter, quantizer } = input;
  const floor = judge.reference - maxDrop - ROUNDING;
  const first = await judge.judge(all.model);
  if (first.score >= floor) {
    const { layers } = input;
    return { layers, quantized: all, sensitivity: sensitivity ?? [], trials: 1 };
  }
  const scanned = sensitivity ?? (await scan(input, all));
  const step = reporter.step('leaving layers float');
  const found = await excludeWorst(
    scanned.map(({ layer }) => layer),
    floor,
    async (excluded) => {
      const layers = new Map([...input.layers, ...float(excluded)]);
      const quantized = await quantizer(layers);
      const { score } = await judge.judge(quantized.model);
      reporter.detail(`${excluded.size} layers float: ${judge.metric} ${score.toFixed(4)}`);
      return { score, result: { layers, quantized } };
    },
  );
  step.done();
  const drop = judge.reference - found.score;
  const unmet = found.met ? undefined : dropNotMet(judge.metric, drop, maxDrop);
  return { ...found.result, sensitivity: scanned, trials: found.trials, unmet };
}

/** Scores are shares of samples: a difference in the last bit is none. */
const ROUNDING = 1e-9;

function float(names: Iterable<string>): [string, Precision][] {
  return [...names].map((name) => [name, 'float']);
}

export interface MixedLimit {
  readonly kind: 'drop' | 'bytes' | 'ms';
  readonly limit: number;
  /** Bytes of the written file, or milliseconds of a run. */
  measure(quantized: Quantized): Promise<number>;
}

/** What each precision that a mode can give costs a layer: bytes, and milliseconds where measured. */
export type CostOf = (layer: string, precision: Precision) => number;

/** Gives every layer the precision with which the limit is met at the least error. */
export async function mix(
  input: TuneInput,
  candidates: readonly Precision[],
  all: Quantized,
  costOf: CostOf,
  limit: MixedLimit,
): Promise<Tuned> {
  const table = await choicesOf(input, candidates, quantizedLayers(all), costOf);
  const { judge } = input;
  let trials = 0;
  const attempt = async (price: number) => {
    trials += 1;
    const chosen = [...chooseAt(price, table)].map(([name, c]) => [name, c.precision] as const);
    const layers = new Map([...input.layers, ...chosen]);
    const quantized = await input.quantizer(layers);
    const found =
      limit.kind === 'drop'
        ? judge.reference - (await judge.judge(quantized.model)).score
        : await limit.measure(quantized);
    return { holds: found <= limit.limit + ROUNDING, result: { layers, quantized, found } };
  };
  const list = prices(table);
  // Error rises with the price, cost falls.
  const best = await searchPrice(list, limit.kind === 'drop' ? 'last' : 'first', attempt);
  const sensitivity = sensitivityOf(table);
  if (best) {
    const { layers, quantized } = best.result;
    return { layers, quantized, sensitivity, trials };
  }
  const { result } = await attempt(limit.kind === 'drop' ? 0 : (list.at(-1) ?? 0));
  const unmet =
    limit.kind === 'drop'
      ? dropNotMet(judge.metric, result.found, limit.limit)
      : limitOutOfReach(limit.kind, result.found, limit.limit);
  return { layers: result.layers, quantized: result.quantized, sensitivity, trials, unmet };
}

async function choicesOf(
  { judge, quantizer, reporter, layers }: TuneInput,
  candidates: readonly Precision[],
  names: readonly string[],
  costOf: CostOf,
): Promise<ChoicesByLayer> {
  const table = new Map<string, Choice[]>();
  const step = reporter.step('scanning layers', names.length * candidates.length);
  for (const name of names) {
    const choices: Choice[] = [{ precision: 'float', error: 0, cost: costOf(name, 'float') }];
    for (const precision of candidates) {
      const others = float(names.filter((other) => other !== name));
      const trial = await quantizer(new Map([...layers, ...others, [name, precision]]));
      step.advance();
      if (!quantizedLayers(trial).includes(name)) continue;
      const { fidelity } = await judge.judge(trial.model);
      choices.push({ precision, error: 1 - fidelity, cost: costOf(name, precision) });
      reporter.detail(`${name}: fidelity ${fidelity.toFixed(5)} in ${precision}`);
    }
    table.set(name, choices);
  }
  step.done();
  return table;
}

/** Of the least precise choice of each layer. */
function sensitivityOf(table: ChoicesByLayer): Sensitivity[] {
  return [...table]
    .map(([layer, choices]) => ({ layer, score: Math.min(...choices.map((c) => 1 - c.error)) }))
    .sort((a, b) => a.score - b.score);
}
