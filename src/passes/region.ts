// The part of a graph that could work on untransposed data: what lies below some Transposes and
// carries their transposition. It pays when more Transposes disappear at its borders than have to
// be put there.

import type { Graph, Node, Use, Value } from '../graph/index.ts';
import { type Carried, carry, compose, isIdentity, type Perm, permOf } from './layout.ts';
import { isOutput, producer } from './match.ts';

export interface Region {
  /** Values x with transpose(x', perm) = x, where x' is what the region will have instead. */
  readonly perms: Map<Value, Perm>;
  /** The Transposes it begins with. */
  readonly sources: Set<Node>;
  readonly nodes: Map<Node, Carried>;
}

/** Everything below a Transpose that carries its transposition. */
export function regionBelow(source: Node, opset: number): Region | undefined {
  const perm = permOf(source);
  const { graph } = source;
  if (!perm || !graph) return undefined;
  const region: Region = { perms: new Map(), sources: new Set(), nodes: new Map() };
  const open: Value[] = [];
  addSource(region, source, perm, open);
  for (let value = open.pop(); value; value = open.pop()) {
    for (const { node, index } of value.uses) {
      if (node.graph === graph) grow(region, node, index, value, opset, open);
    }
  }
  return region;
}

function addSource(region: Region, source: Node, perm: Perm, open: Value[]): void {
  region.sources.add(source);
  region.perms.set(source.output, perm);
  open.push(source.output);
}

function grow(
  region: Region,
  node: Node,
  index: number,
  value: Value,
  opset: number,
  open: Value[],
): void {
  const perm = region.perms.get(value);
  if (!perm || region.nodes.has(node) || node.op === 'Transpose') return;
  const carried = carry(node, perm, opset);
  if (!carried?.data.includes(index)) return;
  for (const i of carried.data) {
    const input = node.input(i);
    if (!input) return;
    const known = region.perms.get(input);
    if (known && known.join() !== perm.join()) return;
  }
  region.nodes.set(node, carried);
  for (const i of carried.data) {
    const input = node.input(i) as Value;
    const transpose = producer(input, 'Transpose');
    if (!transpose || transpose.graph !== node.graph) continue;
    const isTwin = permOf(transpose)?.join() === perm.join();
    if (isTwin && !region.sources.has(transpose)) {
      addSource(region, transpose, perm, open);
    }
  }
  for (const output of node.outputs) {
    if (!output.name) continue;
    region.perms.set(output, carried.perm);
    open.push(output);
  }
}

/** Takes nodes at the lower edge out again as long as that costs nothing. */
export function prune(region: Region, graph: Graph): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const [node, carried] of [...region.nodes].reverse()) {
      const isEdge = node.outputs.every((v) => v.uses.every((use) => !region.nodes.has(use.node)));
      if (!isEdge) continue;
      const before = balance(region, graph);
      remove(region, node);
      if (balance(region, graph) <= before) changed = true;
      else restore(region, node, carried);
    }
  }
}

function remove(region: Region, node: Node): void {
  region.nodes.delete(node);
  for (const output of node.outputs) region.perms.delete(output);
}

function restore(region: Region, node: Node, carried: Carried): void {
  region.nodes.set(node, carried);
  for (const output of node.outputs) if (output.name) region.perms.set(output, carried.perm);
}

/** Transposes after the change minus Transposes before. */
export function balance(region: Region, graph: Graph): number {
  let count = foreignInputs(region).size;
  for (const [value, perm] of region.perms) {
    const source = value.producer;
    const isSource = source !== undefined && region.sources.has(source);
    const outside = usesOutside(region, value);
    const moved = outside.map(({ node }) => (node.graph === graph ? transposing(node) : undefined));
    const needed = isOutput(value) || moved.includes(undefined);
    count -= moved.filter((next) => next && isIdentity(compose(perm, next))).length;
    if (isSource && !needed) count -= 1;
    else if (!isSource && needed && !isIdentity(perm)) count += 1;
  }
  return count;
}

/** Values from outside that the region would need transposed. */
function foreignInputs(region: Region): Set<Value> {
  const foreign = new Set<Value>();
  for (const [node, { data }] of region.nodes) {
    for (const i of data) {
      const input = node.input(i);
      if (input && !region.perms.has(input)) foreign.add(input);
    }
  }
  return foreign;
}

/** Who reads a value as it is now. */
export function usesOutside(region: Region, value: Value): Use[] {
  return value.uses.filter(({ node, index }) => !region.nodes.get(node)?.data.includes(index));
}

/** The perm of a node if it is a Transpose. */
export function transposing(node: Node): Perm | undefined {
  return node.domain === '' && node.op === 'Transpose' ? permOf(node) : undefined;
}
