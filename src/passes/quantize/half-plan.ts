// Which nodes compute in half precision. Every node that may is taken, but for the reasons that are
// given; then nodes that are not worth a Cast follow their neighbours, so that islands merge and Casts
// stand only where something is gained.

import { type Graph, graphsOf, type Model, type Node, type Value } from '../../graph/index.ts';
import { opsetsAt } from '../pass.ts';
import { constantHomes } from './half-constants.ts';
import { type Half, isCheap, isSingle, type Slots, slotsOf, staysFloat } from './half-ops.ts';

export interface PlanState {
  readonly chosen: readonly Node[];
  readonly reasons: readonly (readonly [Node, string])[];
}

export class HalfPlan {
  readonly model: Model;
  readonly half: Half;
  /** Graph inputs and outputs stay float32. */
  readonly keepIo: boolean;
  /** Constants, with the graphs they live in. */
  readonly constants: ReadonlyMap<Value, Graph>;
  /** Nodes that have a half form, in order. */
  readonly able = new Map<Node, Slots>();
  /** Nodes that compute in half. */
  readonly chosen = new Set<Node>();
  /** Why nodes with a half form, or with float32 results, do not compute in half. */
  readonly reasons = new Map<Node, string>();
  /** Graph outputs, by whether half is wanted of them. */
  readonly #outputs = new Map<Value, boolean>();
  readonly #inputs: ReadonlySet<Value>;

  constructor(model: Model, half: Half, keepIo: boolean) {
    this.model = model;
    this.half = half;
    this.keepIo = keepIo;
    this.constants = constantHomes(model);
    this.#inputs = new Set(model.graph.inputs);
    for (const graph of graphsOf(model.graph)) {
      const isMain = graph === model.graph;
      for (const value of graph.outputs) this.#outputs.set(value, isMain && !keepIo);
      for (const node of graph.nodes) this.#consider(node);
    }
  }

  #consider(node: Node): void {
    // Their borders stay float32; what is inside is looked at by itself.
    if (node.subgraphs().length > 0 || this.constants.has(node.output)) return;
    const values = [...node.inputs, ...node.outputs];
    if (this.model.functionOf(node.op, node.domain)) {
      this.reasons.set(node, 'it calls a function of the model');
      return;
    }
    const isMine = values.some(isSingle);
    if (values.some((value) => value?.name && value.type?.kind !== 'tensor')) {
      if (isMine) this.reasons.set(node, 'the types around it are not known, or no tensors');
      return;
    }
    if (!isMine) return;
    const opset = opsetsAt(this.model, node.graph ?? this.model.graph).get(node.domain) ?? 1;
    const slots = slotsOf(node, opset, this.half);
    if (!slots) {
      this.reasons.set(
        node,
        staysFloat(node) ?? `no ${this.half} form of it is known at opset ${opset}`,
      );
    } else if (singlesAt(node, slots).length > 0) {
      this.able.set(node, slots);
      this.chosen.add(node);
    }
  }

  /** Nodes that float32 flows through, in half or not. */
  *nodes(): Generator<Node> {
    yield* this.able.keys();
    for (const node of this.reasons.keys()) if (!this.able.has(node)) yield node;
  }

  has(node: Node): boolean {
    return this.able.has(node) || this.reasons.has(node);
  }

  /** Leaves a node float32; what the first reason was, stays. */
  keepFloat(node: Node, reason: string): void {
    this.chosen.delete(node);
    if (!this.reasons.has(node)) this.reasons.set(node, reason);
  }

  /** What is chosen now, to come back to. */
  state(): PlanState {
    return { chosen: [...this.chosen], reasons: [...this.reasons] };
  }

  restore({ chosen, reasons }: PlanState): void {
    this.chosen.clear();
    this.reasons.clear();
    for (const node of chosen) this.chosen.add(node);
    for (const [node, reason] of reasons) this.reasons.set(node, reason);
  }

  /** Whether a value will be half. */
  isHalf(value: Value): boolean {
    if (!isSingle(value)) return false;
    const { producer } = value;
    if (!producer) return !this.keepIo && this.#inputs.has(value);
    const slots = this.chosen.has(producer) ? this.able.get(producer) : undefined;
    return slots?.outputs(producer.outputs.indexOf(value)) === true;
  }

  /** Whether a reader wants half of a float32 value. */
  wantsHalf(node: Node, index: number): boolean {
    return this.chosen.has(node) && this.able.get(node)?.inputs(index) === true;
  }

  /** Whether half is wanted of a value as a graph output; undefined where it is none. */
  outputWants(value: Value): boolean | undefined {
    return this.#outputs.get(value);
  }

  /** A value needs a Cast where somebody wants it as it is not. */
  needsCast(value: Value): boolean {
    if (!isSingle(value) || this.constants.has(value)) return false;
    const isHalf = this.isHalf(value);
    const output = this.#outputs.get(value);
    if (output !== undefined && output !== isHalf) return true;
    return value.uses.some(({ node, index }) => this.wantsHalf(node, index) !== isHalf);
  }

  /** Lets nodes that are not worth a Cast follow their neighbours. */
  mergeIslands(isForced: (node: Node) => boolean): void {
    const free = [...this.able.keys()].filter(
      (node) => isCheap(node) && !this.reasons.has(node) && !isForced(node),
    );
    for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
      const groups = this.#groups(free);
      const flipped = [...groups, ...free.map((node) => [node])].filter((group) =>
        this.#flipIfBetter(group),
      );
      if (flipped.length === 0) break;
    }
    for (const node of free) {
      if (!this.chosen.has(node)) this.reasons.set(node, 'its neighbours are float32');
    }
  }

  #flipIfBetter(group: readonly Node[]): boolean {
    const values = new Set(group.flatMap((node) => singlesAt(node, this.able.get(node))));
    const count = () => [...values].filter((value) => this.needsCast(value)).length;
    const flip = () => {
      for (const node of group) if (!this.chosen.delete(node)) this.chosen.add(node);
    };
    const before = count();
    if (before === 0) return false;
    flip();
    if (count() < before) return true;
    flip();
    return false;
  }

  /** Neighbours among the free nodes that have the same precision now. */
  #groups(free: readonly Node[]): Node[][] {
    const left = new Set(free);
    const groups: Node[][] = [];
    for (const start of free) {
      if (!left.delete(start)) continue;
      const group = [start];
      for (const node of group) {
        for (const other of this.#neighbours(node)) {
          if (this.chosen.has(other) === this.chosen.has(node) && left.delete(other)) {
            group.push(other);
          }
        }
      }
      if (group.length > 1) groups.push(group);
    }
    return groups;
  }

  #neighbours(node: Node): Node[] {
    return singlesAt(node, this.able.get(node)).flatMap((value) => {
      if (this.constants.has(value)) return [];
      const readers = value.uses.map((use) => use.node);
      return value.producer ? [value.producer, ...readers] : readers;
    });
  }
}

const MAX_SWEEPS = 20;

/** The float32 values at those inputs and outputs of a node that half is for. */
export function singlesAt(node: Node, slots: Slots | undefined): Value[] {
  const inputs = node.inputs.filter((value, i) => isSingle(value) && slots?.inputs(i));
  const outputs = node.outputs.filter((value, i) => isSingle(value) && slots?.outputs(i));
  return [...(inputs as Value[]), ...outputs];
}
