// Extremes without the values: where nothing else is asked, the graph itself finds the least and the
// largest element of each value, and three numbers are handed over instead of a tensor.

import { Builder, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import type { Feeds } from '../tensor/feeds.ts';

const REDUCTIONS = ['ReduceMin', 'ReduceMax', 'ReduceSum'] as const;

export interface Summary {
  /** A copy that makes the numbers instead of its outputs. */
  readonly model: Model;
  /** Names of least, largest and sum of a value. */
  readonly outputs: ReadonlyMap<string, readonly [string, string, string]>;
}

/** For the values among `names` that nodes of the main graph make as float32. */
export function summarise(model: Model, names: readonly string[]): Summary {
  const copy = model.clone();
  const wanted = new Set(names);
  const made: Value[] = [...copy.graph.nodes].flatMap((node) =>
    node.outputs.filter((value) => wanted.has(value.name) && value.dtype === 'float32'),
  );
  const g = new Builder(copy.graph, undefined, (node) => inferNode(copy, node));
  copy.graph.outputs = [];
  const outputs = new Map(
    made.map((value) => {
      const [least, largest, sum] = REDUCTIONS.map((op) => {
        const number = g.op(op, [value], { keepdims: 0 });
        copy.graph.outputs.push(number);
        return number.name;
      });
      return [value.name, [least ?? '', largest ?? '', sum ?? '']] as const;
    }),
  );
  return { model: copy, outputs };
}

/** Least and largest of a value; undefined where they are not finite, or there are none. */
export function extremesOf(
  values: Feeds,
  outputs: readonly [string, string, string],
): { readonly min: number; readonly max: number } | undefined {
  const [min, max, sum] = outputs.map((name) => Number(values.get(name)?.values()[0]));
  // NaN may pass by minima and maxima, but not by a sum.
  if (min === undefined || max === undefined || !Number.isFinite(sum)) return undefined;
  return Number.isFinite(min) && Number.isFinite(max) ? { min, max } : undefined;
}
