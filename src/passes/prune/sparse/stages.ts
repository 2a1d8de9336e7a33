// A model goes through data in stages, each a run of nodes with the products among them: what its
// products read is summed up, they are pruned, and what comes after goes on from the values between
// the stages, with the pruned weights. Memory holds the weights and sums of one stage.

import {
  dependenciesOf,
  isSorted,
  type Model,
  type Node,
  topologicalOrder,
  type Value,
} from '../../../graph/index.ts';
import { inferTypes } from '../../../ops/index.ts';
import { inputsKey, sumsSize, type Wanted } from './layer-inputs.ts';
import type { Product } from './products.ts';

export interface Stage {
  readonly products: readonly Product[];
  /** All values that later stages follow from; the last stage has none. */
  readonly frontier?: readonly string[] | undefined;
}

/** Bytes of weights and of sums of a stage that holds more than one product. */
const WEIGHT_BYTES = 64e6;
const SUM_BYTES = 96e6;

export function stagesOf(model: Model, products: readonly Product[], wanted: Wanted): Stage[] {
  inferTypes(model);
  const { graph } = model;
  const order = isSorted(graph) ? [...graph.nodes] : topologicalOrder(graph);
  const byNode = new Map(products.map((product) => [product.node, product]));
  const spans = spansOf(order, byNode);
  const needed = neededFor(products);
  const stages: Stage[] = [];
  let room = emptyRoom();
  order.forEach((node, at) => {
    const product = byNode.get(node);
    const isRead = needed.has(node);
    if (room.products.length > 0 && isFull(room, isRead ? node : undefined, product, wanted)) {
      const frontier = crossing(spans, needed, at);
      if (frontier) {
        stages.push({ products: room.products, frontier });
        room = emptyRoom();
      }
    }
    if (isRead) for (const value of weightsOf(node)) room.weights.add(value);
    if (!product) return;
    room.sums.set(inputsKey(product), 8 * sumsSize(product, wanted));
    room.products.push(product);
  });
  if (room.products.length > 0) stages.push({ products: room.products });
  return stages;
}

interface Room {
  readonly products: Product[];
  readonly weights: Set<Value>;
  readonly sums: Map<string, number>;
}

const emptyRoom = (): Room => ({ products: [], weights: new Set(), sums: new Map() });

/** Whether the next node, where it is read, or the next product would be too much. */
function isFull(
  { weights, sums }: Room,
  node: Node | undefined,
  product: Product | undefined,
  wanted: Wanted,
): boolean {
  const all = new Set([...weights, ...(node ? weightsOf(node) : [])]);
  let bytes = 0;
  for (const { data } of all) bytes += data?.byteLength ?? 0;
  let summed = 0;
  for (const size of sums.values()) summed += size;
  if (product && !sums.has(inputsKey(product))) summed += 8 * sumsSize(product, wanted);
  return bytes > WEIGHT_BYTES || summed > SUM_BYTES;
}

function weightsOf(node: Node): Value[] {
  return [...dependenciesOf(node)].filter(({ data }) => data);
}

/** Nodes that what the products read follows from. */
function neededFor(products: readonly Product[]): Set<Node> {
  const needed = new Set<Node>();
  const open = products.flatMap(({ node }) => node.input(0) ?? []);
  for (let value = open.pop(); value; value = open.pop()) {
    const { producer } = value;
    if (!producer || needed.has(producer)) continue;
    needed.add(producer);
    open.push(...dependenciesOf(producer));
  }
  return needed;
}

interface Span {
  readonly made: number;
  readonly readers: { readonly at: number; readonly node: Node; readonly isLooked: boolean }[];
}

/** Where values are made and by whom they are read, a product looking at its first operand only. */
function spansOf(order: readonly Node[], products: ReadonlyMap<Node, Product>): Map<Value, Span> {
  const spans = new Map<Value, Span>();
  order.forEach((node, at) => {
    for (const value of dependenciesOf(node)) {
      const span = spans.get(value) ?? { made: -1, readers: [] };
      const isLooked = products.has(node) && value === node.input(0);
      span.readers.push({ at, node, isLooked });
      spans.set(value, span);
    }
    for (const value of node.outputs) spans.set(value, { made: at, readers: [] });
  });
  return spans;
}

/** Names of the values that are made before a node and read from there on; undefined: some cannot be kept. */
function crossing(
  spans: ReadonlyMap<Value, Span>,
  needed: ReadonlySet<Node>,
  at: number,
): string[] | undefined {
  const names: string[] = [];
  for (const [value, { made, readers }] of spans) {
    const isRead = readers.some((one) => one.at >= at && (one.isLooked || needed.has(one.node)));
    if (made >= at || !isRead || value.data) continue;
    const type = value.type?.kind === 'tensor' ? value.type : undefined;
    if (!type?.dtype || !STORED.has(type.dtype)) return undefined;
    names.push(value.name);
  }
  return names;
}

const STORED = new Set([
  ...['float32', 'float64', 'float16', 'bool', 'int8', 'int16', 'int32', 'int64'],
  ...['uint8', 'uint16', 'uint32', 'uint64'],
]);
