// Which value inside one graph is which inside another: by name, and between values matched by name
// by aligning the sequences of operators (longest common subsequence).

import type { Graph, Node, Value } from '../graph/index.ts';
import { dependenciesOf, topologicalOrder } from '../graph/index.ts';
import { dtypeInfo } from '../tensor/dtype.ts';

export interface InnerPair {
  readonly expected: Value;
  readonly actual: Value;
  readonly by: 'name' | 'position';
}

export interface InnerMatch {
  /** In the topological order of the first graph. */
  readonly pairs: readonly InnerPair[];
  /** Values the first graph computes from its inputs. */
  readonly total: number;
}

/** Two stretches whose product exceeds this are left unmatched: the table would be too large. */
const MAX_CELLS = 4_000_000;

export function matchValues(expected: Graph, actual: Graph): InnerMatch {
  const left = computedNodes(expected);
  const right = computedNodes(actual);
  const found = matchByName(left, right);
  const taken = new Set([...found.values()].map((pair) => pair.actual));
  for (const [a, b] of alignNodes(left, right, found)) {
    a.outputs.forEach((value, i) => {
      const other = b.outputs[i];
      if (!other || found.has(value) || taken.has(other) || !isComparable(value, other)) return;
      found.set(value, { expected: value, actual: other, by: 'position' });
      taken.add(other);
    });
  }
  const values = left.flatMap((node) => node.outputs.filter(isObservable));
  return {
    total: values.length,
    pairs: values.flatMap((value) => found.get(value) ?? []),
  };
}

/** Nodes that depend on what is fed, in topological order. */
function computedNodes(graph: Graph): Node[] {
  const fed = new Set(graph.inputs.filter((value) => !value.data));
  return topologicalOrder(graph).filter((node) => {
    const depends = [...dependenciesOf(node)].some((value) => fed.has(value));
    if (depends) for (const output of node.outputs) fed.add(output);
    return depends;
  });
}

function matchByName(left: readonly Node[], right: readonly Node[]): Map<Value, InnerPair> {
  const named = new Map(right.flatMap((node) => node.outputs.map((v) => [v.name, v] as const)));
  const found = new Map<Value, InnerPair>();
  for (const value of left.flatMap((node) => node.outputs)) {
    const same = named.get(value.name);
    if (same && isComparable(value, same)) {
      found.set(value, { expected: value, actual: same, by: 'name' });
    }
  }
  return found;
}

/** Pairs of nodes of equal operators, in order, between those that are matched already. */
function* alignNodes(
  left: readonly Node[],
  right: readonly Node[],
  found: ReadonlyMap<Value, InnerPair>,
): Generator<readonly [Node, Node]> {
  const position = new Map(right.map((node, i) => [node, i]));
  const anchors: (readonly [number, number])[] = [];
  left.forEach((node, i) => {
    const pair = node.outputs.map((output) => found.get(output)).find((p) => p);
    const at = pair?.actual.producer && position.get(pair.actual.producer);
    if (at !== undefined) anchors.push([i, at]);
  });
  let [fromLeft, fromRight] = [0, 0];
  for (const [i, j] of [...increasing(anchors), [left.length, right.length] as const]) {
    yield* commonSubsequence(left.slice(fromLeft, i), right.slice(fromRight, j));
    [fromLeft, fromRight] = [i + 1, j + 1];
  }
}

/** The longest part of the anchors whose second positions grow, too (patience sorting). */
function increasing(anchors: readonly (readonly [number, number])[]) {
  const tails: number[] = [];
  const previous = new Array<number>(anchors.length).fill(-1);
  anchors.forEach(([, position], i) => {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((anchors[tails[middle] as number]?.[1] ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    previous[i] = low > 0 ? (tails[low - 1] as number) : -1;
    tails[low] = i;
  });
  const chain: (readonly [number, number])[] = [];
  for (let i = tails.at(-1) ?? -1; i >= 0; i = previous[i] ?? -1) {
    const anchor = anchors[i];
    if (anchor) chain.unshift(anchor);
  }
  return chain;
}

/** The longest common subsequence of two lists of nodes by operator and shape of result. */
function commonSubsequence(left: readonly Node[], right: readonly Node[]): [Node, Node][] {
  const width = right.length + 1;
  if ((left.length + 1) * width > MAX_CELLS) return [];
  const lengths = new Uint32Array((left.length + 1) * width);
  const [keysLeft, keysRight] = [left.map(keyOf), right.map(keyOf)];
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      const down = lengths[(i + 1) * width + j] ?? 0;
      const across = lengths[i * width + j + 1] ?? 0;
      const diagonal = (lengths[(i + 1) * width + j + 1] ?? 0) + 1;
      lengths[i * width + j] = keysLeft[i] === keysRight[j] ? diagonal : Math.max(down, across);
    }
  }
  const pairs: [Node, Node][] = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const [a, b] = [left[i], right[j]];
    if (a && b && keysLeft[i] === keysRight[j]) {
      pairs.push([a, b]);
      i += 1;
      j += 1;
    } else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) i += 1;
    else j += 1;
  }
  return pairs;
}

/** What makes two nodes counterparts: operator, and the sizes of the first output that are known. */
function keyOf(node: Node): string {
  const dims = node.outputs[0]?.shape?.map((dim) => (typeof dim === 'number' ? dim : '?'));
  return `${node.domain}:${node.op}:${dims?.join() ?? ''}`;
}

/** Tensors with a name; what is left out has none. */
function isObservable(value: Value): boolean {
  return value.name !== '' && (value.type === undefined || value.type.kind === 'tensor');
}

/** Both tensors of the same sort of number, without sizes that contradict each other. */
function isComparable(a: Value, b: Value): boolean {
  if (!isObservable(a) || !isObservable(b)) return false;
  const family = (value: Value) =>
    value.dtype && dtypeInfo(value.dtype).kind.replace('uint', 'int');
  if (a.dtype && b.dtype && family(a) !== family(b)) return false;
  if (!a.shape || !b.shape) return true;
  const { shape } = b;
  if (a.shape.length !== shape.length) return false;
  return a.shape.every((dim, i) => {
    const other = shape[i];
    return typeof dim !== 'number' || typeof other !== 'number' || dim === other;
  });
}
