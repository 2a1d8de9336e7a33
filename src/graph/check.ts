// All invariants of a graph in one list; returns problems instead of throwing.

import { byteLengthOf, elementCount } from '../tensor/dtype.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';
import { topologicalOrder } from './walk.ts';

export interface Problem {
  /** Stable, kebab-case. */
  readonly code: string;
  readonly message: string;
  readonly where?: string;
}

/** Everything that makes a model unusable or is sure to break a pass. */
export function checkModel(model: Model): Problem[] {
  return [model.graph, ...model.functions.map((f) => f.graph)].flatMap((graph) =>
    checkGraph(graph, new Set()),
  );
}

function checkGraph(graph: Graph, visible: ReadonlySet<Value>): Problem[] {
  const problems: Problem[] = [];
  const report = (code: string, message: string, where?: string) => {
    problems.push(where === undefined ? { code, message } : { code, message, where });
  };
  const names = new Map<string, string>();
  const scope = new Set(visible);
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
    if (!graph.inputs.includes(value)) define(value, 'the initializers');
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

function checkNode(
  node: Node,
  scope: ReadonlySet<Value>,
  report: Report,
  problems: Problem[],
): void {
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
  for (const inner of node.subgraphs()) problems.push(...checkGraph(inner, scope));
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
