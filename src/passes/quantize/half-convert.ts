// Carries a plan out: constants in half where half reads them, one Cast per value where precisions
// meet, new types for everything that changed.

import {
  attr,
  type Graph,
  graphsOf,
  type Model,
  Node,
  tensorType,
  Value,
} from '../../graph/index.ts';
import { type DType, dtypeCode } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { dropUnused } from '../match.ts';
import { importDomain } from '../pass.ts';
import { halved, singleData } from './half-constants.ts';
import { isSingle } from './half-ops.ts';
import type { HalfPlan } from './half-plan.ts';

/** Edits the plan's model. */
export function convertToHalf(plan: HalfPlan): void {
  new Conversion(plan).apply();
}

interface Border {
  readonly value: Value;
  readonly isHalf: boolean;
  /** Readers that want the other precision. */
  readonly readers: readonly { readonly node: Node; readonly index: number }[];
  readonly isOutput: boolean;
}

/** The first version of Cast that knows all halves, and the file format it came with. */
const CAST_OPSET = 13;
const CAST_IR = 7;

class Conversion {
  readonly #plan: HalfPlan;
  readonly #model: Model;

  constructor(plan: HalfPlan) {
    this.#plan = plan;
    this.#model = plan.model;
  }

  apply(): void {
    // All is decided on the float32 types, before the first of them changes.
    const borders = this.#borders();
    const halves = [...this.#values()].filter(({ value }) => this.#plan.isHalf(value));
    for (const [value, graph] of this.#plan.constants) this.#convertConstant(value, graph);
    for (const node of this.#plan.chosen) this.#setAttributes(node);
    for (const { value, graph } of halves) this.#retype(value, graph);
    if (borders.length > 0) this.#importCast();
    for (const border of borders) this.#castAt(border);
    dropIdleCasts(this.#model);
  }

  /** Every value of the model but constants, with the graph it stands in. */
  *#values(): Generator<{ value: Value; graph: Graph }> {
    for (const graph of graphsOf(this.#model.graph)) {
      for (const value of [...graph.inputs, ...graph.sparse]) yield { value, graph };
      for (const node of graph.nodes) {
        for (const value of node.outputs) {
          if (!this.#plan.constants.has(value)) yield { value, graph };
        }
      }
    }
  }

  #borders(): (Border & { graph: Graph })[] {
    const found: (Border & { graph: Graph })[] = [];
    for (const { value, graph } of this.#values()) {
      if (!this.#plan.needsCast(value)) continue;
      const isHalf = this.#plan.isHalf(value);
      const readers = value.uses.filter(
        ({ node, index }) => this.#plan.wantsHalf(node, index) !== isHalf,
      );
      const output = this.#plan.outputWants(value);
      const isOutput = output !== undefined && output !== isHalf;
      found.push({ value, graph, isHalf, readers, isOutput });
    }
    return found;
  }

  #convertConstant(value: Value, graph: Graph): void {
    const data = singleData(value);
    if (!data) return;
    const readers = value.uses.filter(({ node, index }) => this.#plan.wantsHalf(node, index));
    const output = this.#plan.outputWants(value);
    const isOutputHalf = output === true;
    if (readers.length === 0 && !isOutputHalf) return;
    const half = halved(data, this.#plan.half);
    const isWhole = readers.length === value.uses.length && output !== false;
    if (isWhole && graph.initializers.has(value)) {
      graph.setData(value, half);
      return;
    }
    const { producer } = value;
    if (isWhole && producer && isOutputHalf) {
      for (const name of producer.attrs.keys()) producer.setAttr(name, undefined);
      producer.setAttr('value', attr.tensor(half));
      value.type = tensorType(this.#plan.half, half.shape);
      return;
    }
    const copy = graph.addInitializer(`${value.name}_${this.#plan.half}`, half);
    this.#model.irVersion = Math.max(this.#model.irVersion, 4);
    for (const { node, index } of readers) node.setInput(index, copy);
    if (value.uses.length > 0 || output !== undefined) return;
    if (producer) graph.remove(producer);
    else dropUnused(graph, value);
  }

  /** Operators that say in an attribute what they make. */
  #setAttributes(node: Node): void {
    if (node.domain !== '') return;
    const { half } = this.#plan;
    if (node.op === 'Cast' && isSingle(node.output)) {
      const isOld = node.attrs.get('to')?.type === 'string';
      node.setAttr('to', isOld ? attr.string(half.toUpperCase()) : attr.int(dtypeCode(half)));
    }
    if (node.op === 'ConstantOfShape') {
      const value = node.tensor('value') ?? Tensor.of('float32', [1], [0]);
      node.setAttr('value', attr.tensor(halved(value, half)));
    }
  }

  #retype(value: Value, graph: Graph): void {
    const { data } = value;
    if (data && graph.initializers.has(value)) {
      graph.setData(value, halved(data, this.#plan.half));
    } else value.type = tensorType(this.#plan.half, value.shape);
  }

  /** Some models import nothing but operators of other domains. */
  #importCast(): void {
    if (this.#model.opsets.has('')) return;
    importDomain(this.#model, this.#model.graph, '', CAST_OPSET);
    this.#model.irVersion = Math.max(this.#model.irVersion, CAST_IR);
  }

  #castAt({ value, graph, isHalf, readers, isOutput }: Border & { graph: Graph }): void {
    const dtype: DType = isHalf ? 'float32' : this.#plan.half;
    const { name } = value;
    const isNamed = isOutput && graph === this.#model.graph && value.producer !== undefined;
    if (isNamed) value.name = graph.fresh(`${name}_${isHalf ? this.#plan.half : 'float32'}`);
    const result = new Value(isNamed ? name : graph.fresh(`${name}_${dtype}`));
    result.type = tensorType(dtype, value.shape);
    const node = new Node({
      op: 'Cast',
      name: graph.fresh(`${name}/Cast`),
      inputs: [value],
      outputs: [result],
      attrs: new Map([['to', this.#castTarget(dtype)]]),
    });
    const next = value.producer ? value.producer.place.next : [...graph.nodes][0];
    if (next) graph.insertBefore(next, node);
    else graph.append(node);
    for (const reader of readers) reader.node.setInput(reader.index, result);
    if (!isOutput) return;
    for (const owner of graphsOf(this.#model.graph)) {
      owner.outputs = owner.outputs.map((output) => (output === value ? result : output));
    }
    result.origin = value.origin;
    value.origin = undefined;
  }

  /** Before opset 6 Cast named its type. */
  #castTarget(dtype: DType) {
    if (this.#model.opset >= 6) return attr.int(dtypeCode(dtype));
    return attr.string(dtype === 'float32' ? 'FLOAT' : dtype.toUpperCase());
  }
}

/** Casts to the type that is there already, and those to float32 that only go back to half. */
function dropIdleCasts(model: Model): void {
  for (const graph of graphsOf(model.graph)) {
    for (const node of graph.nodes) {
      if (node.op !== 'Cast' || node.domain !== '') continue;
      const source = exactSource(node);
      if (!source) continue;
      const inner = node.input(0)?.producer;
      if (!graph.canReplace(node.output, source)) continue;
      graph.replace(node.output, source);
      graph.remove(node);
      if (inner && inner.graph === graph && isIdle(inner, graph)) graph.remove(inner);
    }
  }
}

/** The value a Cast hands on unchanged. */
function exactSource(node: Node): Value | undefined {
  const input = node.input(0);
  const { dtype } = node.output;
  if (!input || !dtype) return undefined;
  if (input.dtype === dtype) return input;
  const before = input.producer?.op === 'Cast' ? input.producer.input(0) : undefined;
  return before?.dtype === dtype && input.dtype === 'float32' ? before : undefined;
}

function isIdle(node: Node, graph: Graph): boolean {
  if (node.op !== 'Cast') return false;
  return node.outputs.every((v) => v.uses.length === 0 && !graph.outputs.includes(v));
}
