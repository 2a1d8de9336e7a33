// Gradient checkpointing (Chen et al., arXiv:1604.06174): the forward pass is cut into segments; what a
// segment makes inside is not kept for the backward pass but made once more when that arrives there.
// Costs up to one more forward pass; saves all activations but those between segments and those of one
// segment at a time.

import {
  dependenciesOf,
  type Graph,
  isStatic,
  type Model,
  Node,
  topologicalOrder,
  Value,
} from '../graph/index.ts';
import { inferNode, lookup } from '../ops/index.ts';
import { dtypeInfo, elementCount } from '../tensor/dtype.ts';
import { Formula } from './formula.ts';

/** More segments than this save no more. */
const MOST_SEGMENTS = 32;

/**
 * Rewrites a graph that holds forward and backward pass; `forward` are the nodes of the former. Gives
 * the number of segments that are made twice. Results are the same, as far as onnxruntime fuses the same
 * nodes.
 */
export function recompute(model: Model, forward: ReadonlySet<Node>): number {
  const order = topologicalOrder(model.graph);
  const segments = new Segments(order.filter((node) => forward.has(node)));
  const backward = order.filter((node) => !forward.has(node));
  const twice = new Recomputation(model, segments, backward).write();
  model.graph.reorder(topologicalOrder(model.graph));
  return twice;
}

/** Bytes of an activation; 0 for what is no real number, which is small and kept. */
function bytesOf({ dtype, shape }: Value): number {
  if (dtype !== 'float32' && dtype !== 'float64') return 0;
  return shape && isStatic(shape) ? (elementCount(shape) * dtypeInfo(dtype).bits) / 8 : 0;
}

/**
 * onnxruntime gives the running statistics of BatchNormalization back in the memory of what they were:
 * a second node that read them would count the batch twice.
 */
function isOverwritten(node: Node, index: number): boolean {
  return node.op === 'BatchNormalization' && index >= 3;
}

/** The forward pass in pieces of about the same memory, cut where little goes across. */
class Segments {
  /** The number of the piece that each node lies in. */
  readonly of = new Map<Node, number>();
  readonly count: number;

  constructor(order: readonly Node[]) {
    const made = order.map((node) => node.outputs.reduce((sum, v) => sum + bytesOf(v), 0));
    const cuts = this.#cuts(made, this.#crossings(order));
    this.count = cuts.length + 1;
    let segment = 0;
    for (const [i, node] of order.entries()) {
      this.of.set(node, segment);
      if (i === cuts[segment]) segment += 1;
    }
  }

  /** Bytes that are made up to a node and read after it. */
  #crossings(order: readonly Node[]): number[] {
    const position = new Map(order.map((node, i) => [node, i]));
    const change = new Array<number>(order.length + 1).fill(0);
    for (const [i, node] of order.entries()) {
      for (const output of node.outputs) {
        const last = Math.max(i, ...output.uses.map((use) => position.get(use.node) ?? i));
        change[i] = (change[i] ?? 0) + bytesOf(output);
        change[last] = (change[last] ?? 0) - bytesOf(output);
      }
    }
    let live = 0;
    return order.map((_, i) => {
      live += change[i] ?? 0;
      return live;
    });
  }

  /** With √(T/b) pieces of T bytes, b across each cut, what is kept and one piece are least. */
  #cuts(made: readonly number[], crossing: readonly number[]): number[] {
    const total = made.reduce((sum, bytes) => sum + bytes, 0);
    let sum = 0;
    const share = made.map((bytes) => {
      sum += bytes;
      return sum / total;
    });
    const inner = crossing.filter((_, i) => (share[i] ?? 0) > 0.1 && (share[i] ?? 1) < 0.9);
    const usual = inner.sort((a, b) => a - b)[Math.floor(inner.length / 10)] ?? total;
    const count = Math.min(MOST_SEGMENTS, Math.round(Math.sqrt(total / Math.max(1, usual))));
    const cuts: number[] = [];
    for (let k = 1; k < count; k++) {
      const near = share.flatMap((s, i) => (Math.abs(s * count - k) < 0.5 ? [i] : []));
      const best = near.sort((a, b) => (crossing[a] ?? 0) - (crossing[b] ?? 0))[0];
      if (best !== undefined && best > (cuts.at(-1) ?? -1)) cuts.push(best);
    }
    return cuts;
  }
}

class Recomputation {
  readonly #model: Model;
  readonly #graph: Graph;
  readonly #segments: Segments;
  readonly #backward: readonly Node[];
  readonly #f: Formula;
  /** The earliest segment whose inside a backward node depends on. */
  readonly #depth = new Map<Node, number>();
  readonly #copies = new Map<Node, Node>();
  readonly #gated = new Map<string, Value>();

  constructor(model: Model, segments: Segments, backward: readonly Node[]) {
    this.#model = model;
    this.#graph = model.graph;
    this.#segments = segments;
    this.#backward = backward;
    this.#f = new Formula(model);
    for (const node of backward) {
      const depths = [...dependenciesOf(node)].map((value) => this.#depthOf(value));
      this.#depth.set(node, Math.min(this.#last, ...depths));
    }
  }

  /** The piece before the loss is needed at once: it is kept. */
  get #last(): number {
    return this.#segments.count - 1;
  }

  write(): number {
    let twice = 0;
    const reads = this.#readsBySegment();
    for (let segment = this.#last - 1; segment >= 0; segment--) {
      const own = reads.get(segment) ?? [];
      const arrived = own.length > 0 ? this.#arrived(segment) : undefined;
      if (!arrived) continue;
      twice += 1;
      for (const { node, index, value } of own) {
        node.setInput(index, this.#again(value, segment, arrived));
      }
    }
    return twice;
  }

  #segmentOf(value: Value): number | undefined {
    return value.producer && this.#segments.of.get(value.producer);
  }

  /** Kept are what crosses a cut, what is small, and what would come out otherwise. */
  #isInside(value: Value): boolean {
    const segment = this.#segmentOf(value);
    const { producer } = value;
    if (!producer || segment === undefined || segment === this.#last) return false;
    if (bytesOf(value) === 0 || producer.subgraphs().length > 0) return false;
    if (lookup(producer)?.pure === false) return false;
    const crosses = value.uses.some(
      (use) => (this.#segments.of.get(use.node) ?? segment) > segment,
    );
    return !crosses && producer.inputs.some((input) => input && this.#isActivation(input));
  }

  #isActivation(value: Value): boolean {
    return this.#segmentOf(value) !== undefined && bytesOf(value) > 0;
  }

  #depthOf(value: Value): number {
    if (this.#isInside(value)) return this.#segmentOf(value) ?? this.#last;
    return (value.producer && this.#depth.get(value.producer)) ?? this.#last;
  }

  #readsBySegment(): Map<number, { node: Node; index: number; value: Value }[]> {
    const reads = new Map<number, { node: Node; index: number; value: Value }[]>();
    for (const node of this.#backward) {
      for (const [index, value] of node.inputs.entries()) {
        if (!value || !this.#isInside(value)) continue;
        const segment = this.#segmentOf(value) ?? 0;
        const list = reads.get(segment) ?? [];
        reads.set(segment, list);
        list.push({ node, index, value });
      }
    }
    return reads;
  }

  /**
   * A condition that is known once the backward pass has arrived at a segment: with it, all that the
   * later segments have to give back is made, so that nothing of them is still needed.
   */
  #arrived(segment: number): Value | undefined {
    const isLater = (value: Value) => {
      const depth = value.producer && this.#depth.get(value.producer);
      return depth !== undefined && depth > segment;
    };
    const seen = this.#backward
      .flatMap((node) => node.outputs)
      .filter((value) => {
        if (!isLater(value) || bytesOf(value) === 0) return false;
        const { uses } = value;
        return (
          uses.length === 0 ||
          uses.some(({ node }) => (this.#depth.get(node) ?? this.#last) <= segment)
        );
      });
    if (seen.length === 0) return undefined;
    const f = this.#f;
    const elements = seen.map((value) => {
      const flat = f.reshape(value, [-1]);
      return f.cast(f.op('Gather', [flat, f.number(0, 'int64')], { axis: 0 }), 'float32');
    });
    return f.op('IsNaN', [f.total(elements)]);
  }

  /** The same value, made once more. */
  #again(value: Value, segment: number, arrived: Value): Value {
    const { producer } = value;
    if (!producer) return value;
    const copy = this.#copies.get(producer) ?? this.#copy(producer, segment, arrived);
    return copy.outputs[producer.outputs.indexOf(value)] as Value;
  }

  #copy(node: Node, segment: number, arrived: Value): Node {
    const inputs = node.inputs.map((input, index) => {
      if (!input) return undefined;
      if (this.#isInside(input) && this.#segmentOf(input) === segment) {
        return this.#again(input, segment, arrived);
      }
      const isOpen = this.#isActivation(input) || isOverwritten(node, index);
      return isOpen ? this.#gate(input, segment, arrived) : input;
    });
    const outputs = node.outputs.map(
      ({ name, type }) => new Value(name && this.#graph.fresh(`${name}/again`), type),
    );
    const name = this.#graph.fresh(`${node.name}/again`);
    const { op, domain, attrs } = node;
    const copy = new Node({ op, domain, name, inputs, outputs, attrs });
    this.#graph.append(copy);
    inferNode(this.#model, copy);
    this.#copies.set(node, copy);
    return copy;
  }

  /** A value that is not there before the backward pass is: onnxruntime would merge equal nodes. */
  #gate(value: Value, segment: number, arrived: Value): Value {
    const key = `${segment}:${value.name}`;
    const known = this.#gated.get(key);
    if (known) return known;
    const gated = this.#f.where(arrived, value, value);
    this.#gated.set(key, gated);
    return gated;
  }
}
