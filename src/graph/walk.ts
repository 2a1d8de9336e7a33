// Orders and neighbourhoods of nodes.

import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';

/** A graph and every graph below it, outermost first. */
export function* graphsOf(graph: Graph): Generator<Graph> {
  yield graph;
  for (const node of graph.nodes) {
    for (const inner of node.subgraphs()) yield* graphsOf(inner);
  }
}

/** Every graph of a model: the main one, function bodies, and all below them. */
export function* allGraphs(model: Model): Generator<Graph> {
  yield* graphsOf(model.graph);
  for (const fn of model.functions) yield* graphsOf(fn.graph);
}

/** The values a node depends on: its inputs and what its subgraphs capture from outside. */
export function dependenciesOf(node: Node): Set<Value> {
  const needed = new Set<Value>();
  for (const input of node.inputs) if (input) needed.add(input);
  for (const graph of node.subgraphs()) for (const value of capturesOf(graph)) needed.add(value);
  return needed;
}

/** Values of surrounding graphs that a graph, or a graph below it, reads. */
export function capturesOf(graph: Graph): Set<Value> {
  const own = new Set<Value>();
  const read = new Set<Value>();
  for (const inner of graphsOf(graph)) {
    for (const value of [...inner.inputs, ...inner.initializers, ...inner.sparse]) own.add(value);
    for (const value of inner.outputs) read.add(value);
    for (const node of inner.nodes) {
      for (const output of node.outputs) own.add(output);
      for (const input of node.inputs) if (input) read.add(input);
    }
  }
  for (const value of own) read.delete(value);
  return read;
}

/** Nodes so that producers come first; stable. Nodes on a cycle are missing from the result. */
export function topologicalOrder(graph: Graph): Node[] {
  const waiting = new Map<Node, number>();
  const readers = new Map<Node, Node[]>();
  const ready: Node[] = [];
  for (const node of graph.nodes) {
    let count = 0;
    for (const value of dependenciesOf(node)) {
      const { producer } = value;
      if (producer?.graph !== graph) continue;
      count += 1;
      const list = readers.get(producer);
      if (list) list.push(node);
      else readers.set(producer, [node]);
    }
    waiting.set(node, count);
    if (count === 0) ready.push(node);
  }
  const order: Node[] = [];
  for (const node of ready) {
    order.push(node);
    for (const reader of readers.get(node) ?? []) {
      const left = (waiting.get(reader) ?? 0) - 1;
      waiting.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  }
  return order;
}

/** Whether each node stands after the producers of what it reads. */
export function isSorted(graph: Graph): boolean {
  const seen = new Set<Node>();
  for (const node of graph.nodes) {
    for (const { producer } of dependenciesOf(node)) {
      if (producer?.graph === graph && !seen.has(producer)) return false;
    }
    seen.add(node);
  }
  return true;
}
