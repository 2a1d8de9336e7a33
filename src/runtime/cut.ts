// A copy of a model that computes only some values: they become its outputs, and what they do not
// depend on is gone.

import { unknownValue } from '../errors/runtime.ts';
import {
  dependenciesOf,
  type Graph,
  isSorted,
  type Model,
  type Node,
  topologicalOrder,
  Value,
} from '../graph/index.ts';

/**
 * `names` may be outputs or any value that the main graph makes, takes or holds; values `given` become
 * inputs, and what they came from is gone.
 */
export function cutModel(
  model: Model,
  names: readonly string[],
  given: readonly string[] = [],
): Model {
  const copy = model.clone();
  const { graph } = copy;
  graph.outputs = given.length > 0 ? [] : graph.outputs;
  for (const value of findValues(graph, given)) if (value.producer) makeInput(graph, value);
  const wanted = findValues(graph, names);
  graph.outputs = wanted;
  const needed = ancestors(wanted);
  // Outputs are read last, so the walk goes from the back.
  for (const node of [...graph.nodes].reverse()) if (!needed.has(node)) graph.remove(node);
  graph.inputs = graph.inputs.filter((value) => value.uses.length > 0 || wanted.includes(value));
  for (const value of [...graph.initializers]) {
    if (value.uses.length === 0 && !wanted.includes(value)) graph.removeInitializer(value);
  }
  if (!isSorted(graph)) graph.reorder(topologicalOrder(graph));
  return copy;
}

/** Everyone reads an input of this name instead. */
function makeInput(graph: Graph, value: Value): void {
  const { name, type } = value;
  value.name = graph.fresh(`${name}_made`);
  const input = new Value(name, type);
  graph.inputs.push(input);
  graph.replace(value, input);
}

function findValues(graph: Graph, names: readonly string[]): Value[] {
  const found = new Map<string, Value>();
  const add = (value: Value) => value.name && found.set(value.name, value);
  for (const value of [...graph.inputs, ...graph.initializers]) add(value);
  for (const node of graph.nodes) node.outputs.forEach(add);
  return names.map((name) => {
    const value = found.get(name);
    if (!value) throw unknownValue(name);
    return value;
  });
}

function ancestors(values: readonly Value[]): Set<Node> {
  const needed = new Set<Node>();
  const waiting = [...values];
  for (let value = waiting.pop(); value; value = waiting.pop()) {
    const { producer } = value;
    if (!producer || needed.has(producer)) continue;
    needed.add(producer);
    waiting.push(...dependenciesOf(producer));
  }
  return needed;
}
