// Whole units pruned while training: which ones go is chosen by the weights as they are when pruning
// begins, what belongs to them is penalised, and what is left at the end is the model without them.

import type { Model } from '../../graph/index.ts';
import { chooseChannels, takesKinds } from '../../passes/prune/channels.ts';
import type { Choice } from '../../passes/prune/cut.ts';
import { findGroups, type Group, type Member } from '../../passes/prune/group.ts';
import { cutCopy } from '../../passes/prune/translate.ts';
import { reshare, unshare } from '../../passes/prune/unshare.ts';
import type { Pattern } from '../../passes/select.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { PartOutcome } from '../prune/plan.ts';
import type { PenaltyChoice } from './request.ts';
import { putWeights } from './weights.ts';

type Weights = ReadonlyMap<string, Tensor>;

export interface StructuredResult {
  readonly model: Model;
  readonly parts: readonly PartOutcome[];
}

export class StructuredPruning implements PenaltyChoice {
  readonly #model: Model;
  readonly #frozen: readonly Pattern[];

  /** Vectors that are stored once are given to each reader, in place: units of one do not tie others. */
  constructor(model: Model, frozen: readonly Pattern[]) {
    unshare(model);
    this.#model = model;
    this.#frozen = frozen;
  }

  /** Ones, by weight, at what belongs to the share of units that goes: those of the least L2 norm. */
  async choose(weights: Weights, amount: number): Promise<Map<string, Tensor>> {
    const model = putWeights(this.#model, weights);
    // Sets of units that are not zero where their weights are (through normalisations) stay whole.
    const takes = takesKinds('channel', 'neuron', 'head');
    const { choices } = await chooseChannels(model, { amount, takes, skip: this.#frozen });
    const found = new Map<string, Float32Array>();
    for (const { group, units } of choices) {
      for (const member of group.weights) {
        const data = weights.get(member.value.name);
        if (!data) continue;
        const ones = found.get(member.value.name) ?? new Float32Array(data.size);
        found.set(member.value.name, ones);
        fill(ones, member, data.shape, units);
      }
    }
    return new Map([...found].map(([name, ones]) => [name, ofShape(weights, name, ones)]));
  }

  /** The model with these weights, without the units whose weights are penalised. */
  cut(weights: Weights, penalties: Weights): StructuredResult {
    const model = putWeights(this.#model, weights);
    const { groups } = findGroups(model);
    const choices = groups.map((group) => ({ group, units: goneUnits(group, penalties) }));
    const pruned = cutCopy(model, choices);
    reshare(pruned);
    return { model: pruned, parts: choices.map(partOf) };
  }
}

function ofShape(weights: Weights, name: string, values: Float32Array): Tensor {
  return Tensor.of('float32', weights.get(name)?.shape ?? [], values);
}

/** Positions of a tensor that one position along the axis of a member stands for. */
function* slice({ axis, size }: Member, shape: readonly number[], at: number): Iterable<number> {
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  for (let i = 0; i < outer; i++) {
    const start = (i * size + at) * inner;
    for (let k = 0; k < inner; k++) yield start + k;
  }
}

function fill(
  ones: Float32Array,
  member: Member,
  shape: readonly number[],
  units: readonly number[],
): void {
  for (const unit of units) {
    for (const at of member.positions[unit] ?? []) {
      for (const i of slice(member, shape, at)) ones[i] = 1;
    }
  }
}

/** Units of which all is penalised. */
function goneUnits({ weights, units }: Group, penalties: Weights): number[] {
  const member = weights.find(({ value }) => penalties.has(value.name));
  const tensor = member && penalties.get(member.value.name);
  if (!member || !tensor) return [];
  const ones = tensor.values() as Float32Array;
  const isGone = (at: number) => [...slice(member, tensor.shape, at)].every((i) => ones[i] === 1);
  return Array.from({ length: units }, (_, unit) => unit).filter((unit) =>
    member.positions[unit]?.every(isGone),
  );
}

function partOf({ group, units }: Choice): PartOutcome {
  const { name, kind, units: before } = group;
  return { part: name, kind, before, after: before - units.length };
}
