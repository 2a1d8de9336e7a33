// What the axis of a weight does in its layer: its positions make results (output channels), they are
// summed over (input channels), or they follow (biases, scales, statistics).

import type { Value } from '../../graph/index.ts';
import { type AxisLink, type AxisPort, constantData } from '../../ops/index.ts';
import type { AxisGraph } from './axis-graph.ts';

export type Role = 'makes' | 'sums' | 'follows';

/** By the id of the axis. Weights are looked at through operators that only see constants. */
export function rolesOf(
  graph: AxisGraph,
  isActive: (link: AxisLink) => boolean,
): Map<number, Role> {
  const roles = new Map<number, Role>();
  const isConstant = constantsOf(graph);
  for (const { node, links } of [...graph.nodes].reverse()) {
    const carries = node.outputs.every(isConstant);
    for (const link of links.filter(isActive)) {
      if (carries) carry(graph, roles, link);
      else give(graph, roles, link, isConstant);
    }
  }
  return roles;
}

function give(
  graph: AxisGraph,
  roles: Map<number, Role>,
  { a, b, sums }: AxisLink,
  isConstant: (value: Value) => boolean,
): void {
  for (const port of [a, b]) {
    if (!isConstant(port.value)) continue;
    const { id } = graph.axisOf(port);
    const isMatrix = (port.value.shape?.length ?? 0) > 1 && !isAddend(port);
    if (sums) roles.set(id, 'sums');
    else if (!roles.has(id)) roles.set(id, isMatrix ? 'makes' : 'follows');
  }
}

/** [C, 1, 1] beside [N, C, H, W] is a bias or scale, whatever its rank. */
function isAddend({ value, axis }: AxisPort): boolean {
  return value.shape?.every((dim, i) => i === axis || dim === 1) ?? false;
}

/** From the result of a node over constants back to its inputs. */
function carry(graph: AxisGraph, roles: Map<number, Role>, { a, b }: AxisLink): void {
  const [input, output] = a.at >= 0 ? [a, b] : [b, a];
  const role = roles.get(graph.axisOf(output).id);
  if (role === undefined || input.at < 0) return;
  roles.set(graph.axisOf(input).id, input.at === 0 ? role : 'follows');
}

function constantsOf(graph: AxisGraph): (value: Value) => boolean {
  const found = new Set<Value>();
  for (const { node } of graph.nodes) {
    for (const value of node.inputs) if (value && graph.isWeight(value)) found.add(value);
  }
  // In an order that runs: what a node makes of constants is constant.
  for (const { node } of graph.nodes) {
    const isFixed =
      node.inputs.length > 0 && node.inputs.every((value) => !value || found.has(value));
    if (isFixed) for (const value of node.outputs) found.add(value);
  }
  return (value) => found.has(value) || constantData(value) !== undefined;
}
