// All invariants of a graph in one list; returns problems instead of throwing.

import { byteLengthOf, elementCount } from '../tensor/dtype.ts';
import type { Graph } from './graph.ts';
import type { Model, ModelFunction } from './model.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';
import { graphsOf, topologicalOrder } from './walk.ts';

export interface Problem {
  /** Stable, kebab-case. */
  readonly code: string;
  readonly message: string;
  readonly where?: string;
}

/** Everything that makes a model unusable or is sure to break a pass. */
export function checkModel(model: Model): Problem[] {
  const bodies = [model.graph, ...model.functions.map((f) => f.graph)];
  return [...bodies.flatMap((graph) => checkGraph(graph, undefined)), ...checkFunctions(model)];
}

/** The values a graph may read: its own, and those of the graphs around it. */
class Scope {
  readonly #own = new Set<Value>();
  readonly #outer: Scope | undefined;

  constructor(outer: Scope | undefined) {
    this.#outer = outer;
  }

  add(value: Value): void {
    this.#own.add(value);
  }

  has(value: Value): boolean {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) {
      if (scope.#own.has(value)) return true;
    }
    return false;
  }
}

function checkGraph(graph: Graph, outer: Scope | undefined): Problem[] {
  const problems: Problem[] = [];
  const report = (code: string, message: string, where?: string) => {
    problems.push(where === undefined ? { code, message } : { code, message, where });
  };
  const names = new Map<string, string>();
  const scope = new Scope(outer);
  const inputs = new Set(graph.inputs);
  const define = (value: Value, by: string) => {
    const other = names.get(value.name);
    if (value.name && other)
      report('duplicate-name', `"${value.name}" is made twice: by ${other} and by ${by}`);
    if (value.name) names.set(value.name, by);
    scope.add(value);
  };
  for (const value of graph.inputs) define(value, 'the graph inputs');
  for (const value of graph.sparse) define(value, 'the sparse initializers');
  for (const value of graph.initializers) {
    if (!inputs.has(value)) define(value, 'the initializers');
    checkData(value, report);
  }
  for (const node of graph.nodes)
    for (const output of node.outputs) define(output, node.describe());
  checkOrder(graph, report);
  for (const node of graph.nodes) checkNode(node, scope, report, problems);
  for (const output of graph.outputs) {
    if (!scope.has(output))
      report('undefined-output', `graph output "${output.name}" is made by nothing`);
  }
  return problems;
}

type Report = (code: string, message: string, where?: string) => void;

function checkNode(node: Node, scope: Scope, report: Report, problems: Problem[]): void {
  if (node.outputs.length === 0) report('no-output', 'the node makes nothing', node.describe());
  node.inputs.forEach((input, i) => {
    if (input && !scope.has(input)) {
      report(
        'undefined-input',
        `"${input.name}" is made by nothing`,
        `${node.describe()}, input ${i}`,
      );
    }
  });
  for (const inner of node.subgraphs()) {
    for (const problem of checkGraph(inner, scope)) problems.push(problem);
  }
}

function checkOrder(graph: Graph, report: Report): void {
  const order = new Set(topologicalOrder(graph));
  if (order.size === graph.nodeCount) return;
  const stuck = [...graph.nodes].filter((node) => !order.has(node));
  report('cycle', `${stuck.length} nodes wait for each other`, stuck[0]?.describe());
}

function checkData(value: Value, report: Report): void {
  const { data } = value;
  if (!data || data.dtype === 'string') return;
  const expected = byteLengthOf(data.dtype, elementCount(data.shape));
  if (data.byteLength === expected) return;
  report(
    'data-size',
    `initializer "${value.name}" is ${data.dtype} [${data.shape.join(', ')}], which takes ${expected} bytes, but has ${data.byteLength}`,
  );
}

/** Functions stand for their bodies: one that calls itself, however indirectly, has no end. */
function checkFunctions(model: Model): Problem[] {
  const problems: Problem[] = [];
  const done = new Set<ModelFunction>();
  const open = new Set<ModelFunction>();
  const visit = (fn: ModelFunction): void => {
    if (done.has(fn)) return;
    if (open.has(fn)) {
      const message = `function "${fn.name}" calls itself`;
      problems.push({ code: 'recursive-function', message });
      return;
    }
    open.add(fn);
    for (const graph of graphsOf(fn.graph)) {
      for (const { op, domain } of graph.nodes) {
        const called = model.functionOf(op, domain);
        if (called) visit(called);
      }
    }
    open.delete(fn);
    done.add(fn);
  };
  for (const fn of model.functions) visit(fn);
  return problems;
}
