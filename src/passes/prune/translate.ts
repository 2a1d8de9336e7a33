// The groups of a model, told of a copy of it: cuts are tried on copies.

import { type Graph, graphsOf, type Model, type Value } from '../../graph/index.ts';
import { type Choice, cutUnits } from './cut.ts';
import type { Member } from './group.ts';

/** A copy in which the chosen units are cut; the model stays. Throws CutFailure. */
export function cutCopy(model: Model, choices: readonly Choice[]): Model {
  const copy = model.clone();
  cutUnits(copy, translate(choices, model, copy));
  return copy;
}

/** The same choices among the values of a copy. */
export function translate(choices: readonly Choice[], from: Model, to: Model): Choice[] {
  const twins = new Map<Value, Value>();
  const copies = [...graphsOf(to.graph)];
  [...graphsOf(from.graph)].forEach((graph, i) => {
    const others = valuesOf(copies[i] as Graph);
    valuesOf(graph).forEach((value, k) => {
      twins.set(value, others[k] as Value);
    });
  });
  const move = (member: Member): Member => ({
    ...member,
    value: twins.get(member.value) as Value,
  });
  return choices.map(({ group, units }) => ({
    units,
    group: { ...group, weights: group.weights.map(move), values: group.values.map(move) },
  }));
}

/** In an order that copies share. */
function valuesOf(graph: Graph): Value[] {
  return [
    ...graph.inputs,
    ...graph.initializers,
    ...[...graph.nodes].flatMap((node) => node.outputs),
  ];
}
