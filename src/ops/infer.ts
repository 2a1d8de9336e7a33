// Type and shape inference over a model: applies each operator's rule in order and merges what it
// says with what the file declares.

import {
  type Attr,
  cloneGraph,
  type Dim,
  type Graph,
  isSorted,
  isUnknown,
  type Model,
  type ModelFunction,
  type Node,
  type Problem,
  type Shape,
  type Type,
  topologicalOrder,
} from '../graph/index.ts';
import { InferContext, InferenceFailure } from './context.ts';
import { within } from './known.ts';
import { lookup } from './op.ts';

/** Gives every value of the model the best type that can be known; returns contradictions found. */
export function inferTypes(model: Model): Problem[] {
  const inference = new Inference(model);
  inference.graph(model.graph);
  return inference.problems;
}

/** Infers the outputs of one new node from its inputs; contradictions leave them unknown. */
export function inferNode(model: Model, node: Node): void {
  new Inference(model).node(node);
}

/** A context for an operator's other rules (cost …) on a node whose types are inferred. */
export function contextOf(model: Model, node: Node): InferContext {
  const inference = new Inference(model);
  return inference.context(node);
}

class Inference {
  readonly problems: Problem[] = [];
  readonly #model: Model;
  readonly #calls: ModelFunction[] = [];

  constructor(model: Model) {
    this.#model = model;
  }

  graph(graph: Graph): void {
    // Some exporters write nodes in another order than they can run in.
    const order = isSorted(graph) ? graph.nodes : topologicalOrder(graph);
    for (const node of order) this.node(node);
  }

  context(node: Node): InferContext {
    const opset =
      this.#calls.at(-1)?.opsets.get(node.domain) ?? this.#model.opsets.get(node.domain);
    const inferGraph = (graph: Graph, trial = false) => {
      const before = this.problems.length;
      this.graph(graph);
      const found = this.problems.length - before;
      if (trial) this.problems.length = before;
      return found;
    };
    return new InferContext(node, opset ?? 1, inferGraph, this.#model.irVersion);
  }

  node(node: Node): void {
    const called = this.#model.functionOf(node.op, node.domain);
    if (called) {
      this.#call(node, called);
      return;
    }
    const spec = node.outputs.length > 0 ? lookup(node) : undefined;
    if (!spec) {
      // Bodies of unknown operators are still graphs: infer what does not depend on their inputs.
      for (const inner of node.subgraphs()) this.graph(inner);
      return;
    }
    try {
      const inferred = spec.infer(this.context(node));
      node.outputs.forEach((output, i) => {
        const found = inferred[i];
        // What a node leaves out has no type to contradict later.
        if (!found || output.name === '') return;
        output.type = this.#merge(output.type, found.type, node, output.name);
        output.known = within(output.dtype, found.known);
      });
    } catch (error) {
      if (!(error instanceof InferenceFailure)) throw error;
      this.problems.push({ code: 'types', message: error.message, where: node.describe() });
    }
  }

  /** Infers the body of a function with the types and attributes of one call. */
  #call(node: Node, called: ModelFunction): void {
    if (this.#calls.includes(called)) return;
    const body = cloneGraph(called.graph);
    body.inputs.forEach((input, i) => {
      const given = node.inputs[i];
      input.type = given?.type;
      input.known = given?.known;
      input.data = given?.data;
    });
    bindAttributes(body, new Map([...called.defaults, ...node.attrs]));
    this.#calls.push(called);
    this.graph(body);
    this.#calls.pop();
    node.outputs.forEach((output, i) => {
      const result = body.outputs[i];
      if (!result) return;
      output.type = this.#merge(output.type, result.type, node, output.name);
      output.known = result.known;
    });
  }

  #merge(
    declared: Type | undefined,
    inferred: Type | undefined,
    node: Node,
    name: string,
  ): Type | undefined {
    if (!declared || !inferred) return inferred ?? declared;
    if (declared.kind === 'tensor' && inferred.kind === 'tensor') {
      const clash = (what: string) =>
        this.problems.push({
          code: 'declared-type',
          message: `"${name}" is declared with another ${what} than its operator makes`,
          where: node.describe(),
        });
      if (declared.dtype && inferred.dtype && declared.dtype !== inferred.dtype) clash('type');
      const shape = mergeShapes(declared.shape, inferred.shape, () => clash('shape'));
      return { kind: 'tensor', dtype: inferred.dtype ?? declared.dtype, shape };
    }
    return inferred;
  }
}

/** Puts the attributes of a call where the body of its function refers to them. */
export function bindAttributes(body: Graph, given: ReadonlyMap<string, Attr>): void {
  for (const node of body.nodes) {
    for (const [name, value] of [...node.attrs]) {
      if (value.type === 'reference') node.setAttr(name, given.get(value.value));
    }
    for (const inner of node.subgraphs()) bindAttributes(inner, given);
  }
}

function mergeShapes(declared: Shape | undefined, inferred: Shape | undefined, clash: () => void) {
  if (!declared || !inferred) return inferred ?? declared;
  if (declared.length !== inferred.length) {
    clash();
    return inferred;
  }
  return inferred.map((dim, i) => mergeDims(declared[i] as Dim, dim, clash));
}

/** A number says more than a name, a name more than nothing; of two numbers the inferred one. */
function mergeDims(declared: Dim, inferred: Dim, clash: () => void): Dim {
  if (typeof inferred === 'number') {
    if (typeof declared === 'number' && declared !== inferred) clash();
    return inferred;
  }
  if (typeof declared === 'number') return declared;
  return isUnknown(inferred) && !isUnknown(declared) ? declared : inferred;
}
