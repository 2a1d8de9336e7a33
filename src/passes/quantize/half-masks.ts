// Masks as large as float32 goes: constants that stand for minus infinity and are added to something.
// The largest half would not do: with what it is added to, or with a second mask, it becomes infinite,
// and a row that is masked all over becomes NaN. They are made smaller before anything else is done.

import { attr, type Graph, type Value } from '../../graph/index.ts';
import { Tensor, viewOf } from '../../tensor/tensor.ts';
import {
  type ConstantRange,
  constantHomes,
  ENDLESS,
  isMask,
  singleData,
} from './half-constants.ts';
import { isMove } from './half-ops.ts';
import type { HalfPlan } from './half-plan.ts';

/** Room for another mask, and for what is masked. */
export const MASK = 30000;

/** Adding, scaling, choosing: operators that masks are made with. */
const MASKING = new Set(['Add', 'Sub', 'Mul', 'Where']);

/** The constants that are made smaller: masks that something is done with. */
export function findMasks(plan: HalfPlan, ranges: ReadonlyMap<Value, ConstantRange>): Value[] {
  // The range of bfloat16 is that of float32.
  if (plan.half === 'bfloat16') return [];
  return [...ranges].flatMap(([value, range]) => {
    const readers = value.uses.map(({ node }) => node);
    const isUsed = readers.every((node) => MASKING.has(node.op) || isMove(node));
    // Bounds of Clip, Max and Min stay as large as they can be.
    const isMade = readers.some((node) => MASKING.has(node.op) || !isBound(node.op));
    return isMask(range) && isUsed && isMade ? [value] : [];
  });
}

function isBound(op: string): boolean {
  return op === 'Clip' || op === 'Max' || op === 'Min' || op === 'Pad';
}

/** Gives masks another magnitude. */
export function setMasks(
  masks: readonly Value[],
  homes: ReadonlyMap<Value, Graph>,
  magnitude: number,
): void {
  for (const value of masks) {
    const { producer } = value;
    const fill = producer?.op === 'ConstantOfShape' ? producer.tensor('value') : undefined;
    const data = fill ?? singleData(value);
    if (!data) continue;
    const changed = withMagnitude(data, magnitude);
    const graph = homes.get(value);
    if (!producer) graph?.setData(value, changed);
    else {
      for (const name of [...producer.attrs.keys()]) producer.setAttr(name, undefined);
      producer.setAttr('value', attr.tensor(changed));
    }
  }
}

function withMagnitude(data: Tensor, magnitude: number): Tensor {
  const change = (bytes: Uint8Array): Uint8Array => {
    const values = (viewOf('float32', bytes) as Float32Array).map((x) =>
      Number.isFinite(x) && Math.abs(x) >= ENDLESS ? Math.sign(x) * magnitude : x,
    );
    return new Uint8Array(values.buffer);
  };
  const { shape, byteLength } = data;
  if (!data.isDerived) return Tensor.fromBytes('float32', shape, change(data.bytes()));
  const compute = async () => change(await data.load());
  return new Tensor('float32', shape, { byteLength, compute });
}

/** A copy of the plan's model in which nothing is masked: what values are by themselves. */
export function withoutMasks(plan: HalfPlan, masks: readonly Value[]) {
  const copy = plan.model.clone();
  if (masks.length === 0) return copy;
  const homes = constantHomes(copy);
  const twins = new Map<Value, Value>();
  const constants = [...homes.keys()];
  [...plan.constants.keys()].forEach((value, i) => {
    const twin = constants[i];
    if (twin) twins.set(value, twin);
  });
  const fills = new Map(
    [...copy.graph.nodes].map((node) => [node.output.name, node.output] as const),
  );
  const found = masks.flatMap((value) => twins.get(value) ?? fills.get(value.name) ?? []);
  setMasks(found, homes, 0);
  return copy;
}
