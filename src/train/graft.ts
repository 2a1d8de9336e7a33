// A second model put into the first one's graph, over the same inputs: a teacher beside its student.
// Its weights are constants there, and it drops nothing.

import type { Model, Node, Value } from '../graph/index.ts';

/** What names of a grafted teacher begin with; its number follows. */
export const TEACHER = 'teacher/';

/**
 * Moves the nodes and weights of `other` into `model`, with `prefix` before every name, and returns its
 * outputs. Inputs are matched by name, else by position; `other` is used up.
 */
export function graft(model: Model, other: Model, prefix: string): Value[] {
  const { graph } = model;
  const shared = sharedInputs(model, other);
  keepAll(other);
  const rename = (named: Value | Node) => {
    if (named.name) named.name = graph.fresh(`${prefix}${named.name}`);
  };
  for (const value of [...other.graph.initializers]) {
    other.graph.initializers.delete(value);
    rename(value);
    graph.initializers.add(value);
  }
  // A teacher says what it knows: nothing is dropped out.
  for (const node of [...other.graph.nodes]) {
    const [x, y] = [node.input(0), node.outputs[0]];
    if (node.op === 'Dropout' && x && y) other.graph.replace(y, x);
  }
  const outputs = [...other.graph.outputs];
  other.graph.outputs = [];
  const [first] = graph.nodes;
  for (const node of other.graph.takeAll()) {
    rename(node);
    for (const output of node.outputs) rename(output);
    node.inputs.forEach((input, i) => {
      const same = input && shared.get(input);
      if (same) node.setInput(i, same);
    });
    if (first) graph.insertBefore(first, node);
    else graph.append(node);
  }
  for (const [domain, version] of other.opsets) {
    if (!model.opsets.has(domain)) model.opsets.set(domain, version);
  }
  return outputs.map((value) => shared.get(value) ?? value);
}

/** Inputs of `other` with those of `model` that feed them: by name, else by position. */
export function sharedInputs(model: Model, other: Model): Map<Value, Value | undefined> {
  const inputs = model.graph.inputs.filter((value) => !value.data);
  const own = other.graph.inputs.filter((value) => !value.data);
  return new Map(
    own.map((value, i) => [value, inputs.find(({ name }) => name === value.name) ?? inputs[i]]),
  );
}

/** Takes out Dropout: a teacher speaks as it does when it is used. */
export function keepAll({ graph }: Model): void {
  for (const node of [...graph.nodes]) {
    const [x, y] = [node.input(0), node.outputs[0]];
    if (node.op !== 'Dropout' || !x || !y || node.outputs[1]?.uses.length) continue;
    if (!graph.canReplace(y, x)) continue;
    graph.replace(y, x);
    graph.remove(node);
  }
}
