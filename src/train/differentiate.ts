// Reverse-mode differentiation as a rewrite of the graph: walks the nodes backwards from a scalar loss
// and lets each operator's rule (`ops/gradient`) write the gradients of its inputs. What comes out is
// plain ONNX, run by onnxruntime like everything else.

import { cutOff, gradientNeedsShape, noGradientOfForm } from '../errors/train.ts';
import {
  Builder,
  dependenciesOf,
  type Graph,
  isStatic,
  type Model,
  type Node,
  sameShape,
  topologicalOrder,
  type Value,
} from '../graph/index.ts';
import { GradientContext, gradientOf, UnknownShape, UnsupportedForm } from '../ops/gradient.ts';
import { inferNode } from '../ops/index.ts';
import { isFloat } from '../tensor/dtype.ts';
import { floatTensor } from '../tensor/scale.ts';
import { type Backpropagate, throughBranches } from './branches.ts';

/**
 * Appends the backward pass of `loss` (a scalar of the main graph) to the model; the result maps each
 * of `wrt` to its gradient, those that the loss does not depend on left out. Types must be inferred.
 * Throws for an operator without a rule on the way, naming what it cuts off.
 */
export function differentiate(model: Model, loss: Value, wrt: readonly Value[]): Map<Value, Value> {
  return backpropagate(model, model.graph, [[loss, oneLike(model, loss)]], wrt);
}

const backpropagate: Backpropagate = (model, graph, seeds, wrt) => {
  const order = topologicalOrder(graph);
  const active = dependents(order, wrt);
  const results = seeds.map(([value]) => value);
  const [missing] = missingRules(order, active, results);
  if (missing) throw cutOff(missing, behind(missing, wrt));
  const backward = new Backward(model, graph, active);
  for (const [value, gradient] of seeds) backward.send(value, gradient);
  for (const node of order.reverse()) backward.through(node);
  const found = new Map<Value, Value>();
  for (const value of wrt) {
    const gradient = backward.received(value);
    if (gradient) found.set(value, gradient);
  }
  return found;
};

function oneLike(model: Model, loss: Value): Value {
  const g = builderOf(model, model.graph);
  const tensor = floatTensor(loss.dtype ?? 'float32', [], Float64Array.of(1));
  const one = g.constant('one', tensor);
  return loss.shape?.length === 0 ? one : g.op('Expand', [one, g.op('Shape', [loss])]);
}

function builderOf(model: Model, graph: Graph): Builder {
  return new Builder(graph, undefined, (node) => inferNode(model, node));
}

function hasBranches(node: Node): boolean {
  return node.domain === '' && node.op === 'If';
}

/**
 * Values that depend on `wrt`, itself included: those of floating type, and integers that stand for
 * real numbers. Rules that stop gradients stop here.
 */
function dependents(order: readonly Node[], wrt: readonly Value[]): Set<Value> {
  const active = new Set(wrt);
  for (const node of order) {
    const rule = gradientOf(node);
    if (rule === 'stop') continue;
    const inputs = [...dependenciesOf(node)].filter((value) => active.has(value));
    if (inputs.length === 0) continue;
    const isRounded = typeof rule === 'object' || inputs.some((value) => !isReal(value));
    for (const output of node.outputs) if (isRounded || isReal(output)) active.add(output);
  }
  return active;
}

function isReal(value: Value): boolean {
  return value.dtype === undefined || isFloat(value.dtype);
}

/** The operators without a rule that cut off some of `wrt` from the loss, with the names of those. */
export function withoutRules(
  model: Model,
  loss: Value,
  wrt: readonly Value[],
): { readonly node: Node; readonly behind: readonly string[] }[] {
  const order = topologicalOrder(model.graph);
  const missing = missingRules(order, dependents(order, wrt), [loss]);
  return missing.map((node) => ({ node, behind: behind(node, wrt) }));
}

/** Active operators without a rule that the results depend on. */
function missingRules(
  order: readonly Node[],
  active: ReadonlySet<Value>,
  results: readonly Value[],
): Node[] {
  const needed = new Set<Value>(results);
  const missing: Node[] = [];
  for (const node of [...order].reverse()) {
    if (!node.outputs.some((value) => needed.has(value) && active.has(value))) continue;
    const inputs = [...dependenciesOf(node)].filter((value) => active.has(value));
    const hasRule = gradientOf(node) !== undefined || hasBranches(node);
    if (inputs.length > 0 && !hasRule) missing.push(node);
    for (const value of inputs) needed.add(value);
  }
  return missing;
}

/** Those of `wrt` from which a node can be reached. */
function behind(node: Node, wrt: readonly Value[]): string[] {
  const seen = new Set<Value>();
  const open = [...dependenciesOf(node)];
  for (let value = open.pop(); value; value = open.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    if (value.producer) open.push(...dependenciesOf(value.producer));
  }
  return wrt.filter((value) => seen.has(value)).map(({ name }) => name);
}

class Backward {
  readonly #model: Model;
  readonly #active: ReadonlySet<Value>;
  readonly #parts = new Map<Value, Value[]>();
  readonly #g: Builder;

  constructor(model: Model, graph: Graph, active: ReadonlySet<Value>) {
    this.#model = model;
    this.#active = active;
    this.#g = builderOf(model, graph);
  }

  send(to: Value, gradient: Value): void {
    this.#parts.set(to, [...(this.#parts.get(to) ?? []), gradient]);
  }

  /** The sum of what all readers have sent back. */
  received(value: Value): Value | undefined {
    const parts = this.#parts.get(value) ?? [];
    if (parts.length < 2) return parts[0];
    const sum = this.#g.op('Sum', parts);
    this.#parts.set(value, [sum]);
    return sum;
  }

  through(node: Node): void {
    const rule = gradientOf(node);
    if (rule === 'stop') return;
    const dy = node.outputs.map((value) => this.received(value));
    if (dy.every((gradient) => gradient === undefined)) return;
    const wanted = (value: Value) => this.#active.has(value);
    if (hasBranches(node)) {
      const found = throughBranches(this.#model, node, dy, wanted, backpropagate);
      for (const [value, gradient] of found) this.send(value, gradient);
      return;
    }
    if (!rule) return;
    if (!node.inputs.some((value) => value && wanted(value))) return;
    const context = new GradientContext(this.#model, node, this.#g, dy, wanted);
    const write = typeof rule === 'object' ? rule.straightThrough : rule;
    const gradients = this.#apply(node, () => write(context));
    node.inputs.forEach((input, i) => {
      const gradient = gradients[i];
      if (!input || !gradient || !wanted(input)) return;
      this.send(input, this.#fitted(node, i, input, gradient, context));
    });
  }

  #apply<T>(node: Node, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (error instanceof UnknownShape) throw gradientNeedsShape(node, error.value.name);
      if (error instanceof UnsupportedForm) throw noGradientOfForm(node, error.message);
      throw error;
    }
  }

  /** The gradient in the shape of its input. */
  #fitted(node: Node, index: number, input: Value, gradient: Value, c: GradientContext): Value {
    const summed = this.#apply(node, () => c.sumTo(gradient, input));
    const { shape, dtype } = summed;
    if (dtype && input.dtype && isReal(input) && dtype !== input.dtype) {
      throw new Error(`${node.describe()}: gradient ${index} is ${dtype}, not ${input.dtype}`);
    }
    const isStated = shape && input.shape && isStatic(shape) && isStatic(input.shape);
    if (isStated && !sameShape(shape, input.shape)) {
      throw new Error(`${node.describe()}: gradient ${index} is [${shape}], not [${input.shape}]`);
    }
    return summed;
  }
}
