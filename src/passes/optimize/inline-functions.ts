// A function that is called once, or that is a single node, is put where it is called: what is around
// can then be joined with it. Larger ones that are called often stay: copies would be no gain.

import {
  allGraphs,
  cloneGraph,
  type Graph,
  graphsOf,
  type Model,
  type ModelFunction,
  type Node,
  Value,
} from '../../graph/index.ts';
import { bindAttributes } from '../../ops/index.ts';
import { moveBody } from '../inline.ts';
import { importDomain, mayEdit, opsetsAt, type Pass } from '../pass.ts';

const pass: Pass = {
  name: 'inline-functions',
  summary: 'Puts the body of a function that is called once where it is called',
  level: 'basic',
  run(model, context) {
    let changed = false;
    for (const { fn, node, graph } of callsOf(model)) {
      // Two functions may call each other in turn: each is looked at as it is now.
      if (node.graph !== graph || !fits(model, graph, fn) || !mayEdit(context, node)) continue;
      inline(model, graph, node, fn);
      changed = true;
    }
    return changed;
  },
};

export default pass;

interface Call {
  readonly fn: ModelFunction;
  readonly node: Node;
  readonly graph: Graph;
}

/** The calls worth inlining. */
function callsOf(model: Model): Call[] {
  const calls: Call[] = [];
  const counts = new Map<ModelFunction, number>();
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) {
      const fn = model.functionOf(node.op, node.domain);
      if (!fn) continue;
      calls.push({ fn, node, graph });
      counts.set(fn, (counts.get(fn) ?? 0) + 1);
    }
  }
  return calls.filter(({ fn, graph }) => {
    const isShort = fn.graph.nodeCount <= 1;
    return graph.root !== fn.graph && (isShort || counts.get(fn) === 1);
  });
}

/** Operators must mean the same where they come to stand. */
function fits(model: Model, graph: Graph, fn: ModelFunction): boolean {
  const here = opsetsAt(model, graph);
  const domains = new Set(
    [...graphsOf(fn.graph)].flatMap((inner) => [...inner.nodes].map((node) => node.domain)),
  );
  return [...domains].every((domain) => {
    const version = fn.opsets.get(domain);
    return version !== undefined && (here.get(domain) ?? version) === version;
  });
}

function inline(model: Model, graph: Graph, node: Node, fn: ModelFunction): void {
  const twins = new Map<Value, Value>();
  const missing: Value[] = [];
  fn.graph.inputs.forEach((parameter, i) => {
    const given = node.inputs[i];
    if (given) twins.set(parameter, given);
    else {
      const absent = new Value(parameter.name);
      twins.set(parameter, absent);
      missing.push(absent);
    }
  });
  const body = cloneGraph(fn.graph, twins);
  bindAttributes(body, new Map([...fn.defaults, ...node.attrs]));
  for (const absent of missing) {
    for (const use of [...absent.uses]) use.node.setInput(use.index, undefined);
  }
  for (const inner of body.nodes) {
    const version = fn.opsets.get(inner.domain);
    if (inner.domain && version !== undefined) importDomain(model, graph, inner.domain, version);
  }
  moveBody(body, node, graph);
}
