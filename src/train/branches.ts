// Gradients through an If: another If over the same condition, whose branches go through the forward
// branch once more and then back. What a branch has made inside cannot be read from outside, so it is
// made anew; of both branches only the one that was taken runs.

import {
  cloneGraph,
  dependenciesOf,
  type Graph,
  graphsOf,
  type Model,
  Node,
  toAttrs,
  Value,
} from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { Formula } from './formula.ts';

/** Appends the backward pass of pairs (result, its gradient) to a graph. */
export type Backpropagate = (
  model: Model,
  graph: Graph,
  seeds: readonly (readonly [Value, Value])[],
  wrt: readonly Value[],
) => Map<Value, Value>;

const BRANCHES = ['then_branch', 'else_branch'] as const;

/**
 * Gradients of what the branches of `node` read from around it, as far as `wanted`; `dy` are those of
 * its outputs, undefined where nothing comes back. The new If goes to the end of the node's graph.
 */
export function throughBranches(
  model: Model,
  node: Node,
  dy: readonly (Value | undefined)[],
  wanted: (value: Value) => boolean,
  backpropagate: Backpropagate,
): Map<Value, Value> {
  const graph = node.graph ?? model.graph;
  const sources = [...dependenciesOf(node)].filter((value) => wanted(value));
  const bodies = BRANCHES.map((name) => cloneGraph(node.subgraph(name) as Graph));
  const outputs = sources.map(
    ({ name, type }) => new Value(graph.fresh(`${name}/through_branch`), type),
  );
  const back = new Node({
    op: 'If',
    name: graph.fresh(`${node.name || 'If'}/back`),
    inputs: [node.input(0)],
    outputs,
    attrs: toAttrs(Object.fromEntries(BRANCHES.map((name, i) => [name, bodies[i] as Graph]))),
  });
  graph.append(back);
  for (const body of bodies) {
    renameAll(body);
    const seeds = body.outputs.flatMap((value, i) => {
      const gradient = dy[i];
      return gradient ? [[value, gradient] as const] : [];
    });
    const found = backpropagate(model, body, seeds, sources);
    body.outputs = sources.map((source) => result(model, body, source, found.get(source)));
    dropUnread(body);
  }
  inferNode(model, back);
  return new Map(sources.map((source, i) => [source, outputs[i] as Value]));
}

/** A gradient that the branch itself has made; zeros where the source is not read in this one. */
function result(model: Model, body: Graph, source: Value, gradient: Value | undefined): Value {
  const f = new Formula(model, body);
  if (gradient) return f.op('Identity', [gradient]);
  return f.op('Expand', [f.number(0, source.dtype ?? 'float32'), f.op('Shape', [source])]);
}

function renameAll(body: Graph): void {
  for (const graph of graphsOf(body)) {
    const made = [...graph.nodes].flatMap((node) => [node, ...node.outputs]);
    for (const named of [...graph.inputs, ...graph.initializers, ...graph.sparse, ...made]) {
      if (named.name) named.name = body.fresh(`${named.name}/again`);
    }
  }
}

/** The end of the forward branch is of no use to the way back. */
function dropUnread(body: Graph): void {
  for (const node of [...body.nodes].reverse()) {
    const isRead = node.outputs.some((v) => v.uses.length > 0 || body.outputs.includes(v));
    if (!isRead) body.remove(node);
  }
}
