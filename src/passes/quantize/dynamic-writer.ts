// What the nodes of a dynamically quantised model have in common: builders, quantised inputs that are
// shared by all readers in a graph, and float32 inside of models in half precision.

import { Builder, type Graph, type Model, type Node, type Value } from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import type { Target } from '../../targets/target.ts';
import { type DType, dtypeCode } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { removeDead } from '../match.ts';
import { importDomain } from '../pass.ts';
import type { Choice, DynamicOptions } from './dynamic-plan.ts';
import { DynamicWeights, type QuantizedWeight, type Weight } from './dynamic-weights.ts';

export const MICROSOFT = 'com.microsoft';

const PRODUCTS = new Set([
  ...['MatMul', 'Gemm', 'FusedMatMul', 'Attention', 'DynamicQuantizeLinear'],
]);

/** Codes, scale and zero point of an activation. */
export interface QuantizedInput {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

export class DynamicWriter {
  readonly options: DynamicOptions;
  readonly target: Target;
  readonly weights: DynamicWeights;
  readonly #model: Model;
  readonly #inputs = new Map<Graph, Map<Value, QuantizedInput>>();
  /** Tables that rows are picked from, by the model or function they are part of. */
  readonly #tables = new Map<Graph, Set<Tensor>>();

  constructor(model: Model, options: DynamicOptions, target: Target) {
    const saturates = options.weights === 'int8' && !target.exactProducts;
    this.#model = model;
    this.options = options;
    this.target = target;
    this.weights = new DynamicWeights(model, options.reduceRange ?? saturates);
  }

  /** Finds out what nodes have in common; before anything is written. */
  async prepare(chosen: readonly Choice[]): Promise<void> {
    await this.weights.findEqual(chosen.flatMap(({ weights }) => weights));
    for (const { kind, graph, weights } of chosen) {
      if (kind !== 'table') continue;
      const tables = this.#tables.get(graph.root) ?? new Set();
      this.#tables.set(graph.root, tables);
      for (const { data } of weights) tables.add(this.weights.originalOf(data));
    }
  }

  /** Whether rows are picked from a weight, too. */
  isTable(graph: Graph, { data }: Weight): boolean {
    return this.#tables.get(graph.root)?.has(this.weights.originalOf(data)) ?? false;
  }

  /** Whether several products read an input. */
  isShared(value: Value): boolean {
    const products = value.uses.filter(({ node, index }) => index === 0 && PRODUCTS.has(node.op));
    return products.length > 1;
  }

  /** Makes nodes before that of a choice. */
  builder({ graph, node }: Choice): Builder {
    return new Builder(graph, node, (made) => inferNode(this.#model, made));
  }

  /** Lets a graph use the operators of com.microsoft. */
  importMicrosoft(graph: Graph): void {
    importDomain(this.#model, graph, MICROSOFT, 1);
  }

  weight({ graph, node }: Choice, weight: Weight): QuantizedWeight {
    return this.weights.quantized(graph, node, weight);
  }

  /** The input quantised; nodes of a graph come in order, so that the first one serves the others. */
  input(g: Builder, value: Value): QuantizedInput {
    const known = this.#inputs.get(g.graph) ?? new Map<Value, QuantizedInput>();
    this.#inputs.set(g.graph, known);
    const found = known.get(value);
    if (found) return found;
    const outputs = g.ops('DynamicQuantizeLinear', [this.asFloat(g, value)], 3);
    const [codes, scale, zeroPoint] = outputs as [Value, Value, Value];
    const made = { codes, scale, zeroPoint };
    known.set(value, made);
    return made;
  }

  asFloat(g: Builder, value: Value): Value {
    return value.dtype === 'float16' ? cast(g, value, 'float32') : value;
  }
}

export function cast(g: Builder, value: Value, to: DType): Value {
  return g.op('Cast', [value], { to: dtypeCode(to) });
}

/** float32 results in the type that the model has there. */
export function inType(g: Builder, value: Value, dtype: DType | undefined): Value {
  return dtype === 'float16' ? cast(g, value, 'float16') : value;
}

/** The name of the node for the one that does its work. */
export function nameOf(g: Builder, node: Node): string {
  return node.name || g.graph.fresh(node.op);
}

/** Puts results in the place of a node's own. */
export function replaceOutputs(
  { graph, node, transpose }: Choice,
  results: readonly Value[],
): void {
  for (const [i, output] of node.outputs.entries()) {
    const result = results[i];
    if (!result || !output.name) continue;
    if (!result.shape && output.type) result.type = output.type;
    graph.replace(output, result);
  }
  removeDead(graph, transpose?.graph === graph ? [node, transpose] : [node]);
}
