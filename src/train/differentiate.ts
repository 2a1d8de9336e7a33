// Reverse-mode differentiation as a rewrite of the graph: walks the nodes backwards from a scalar loss
// and lets each operator's rule (`ops/gradient`) write the gradients of its inputs. What comes out is
// plain ONNX, run by onnxruntime like everything else.

import { cutOff, gradientNeedsShape, noGradientOfForm } from '../errors/train.ts';
import {
  Builder,
  dependenciesOf,
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

/**
 * Appends the backward pass of `loss` (a scalar of the main graph) to the model; the result maps each
 * of `wrt` to its gradient, those that the loss does not depend on left out. Types must be inferred.
 * Throws for an operator without a rule on the way, naming what it cuts off.
 */
export function differentiate(model: Model, loss: Value, wrt: readonly Value[]): Map<Value, Value> {
  const order = topologicalOrder(model.graph);
  const active = dependents(order, wrt);
  requireRules(order, active, loss, wrt);
  const backward = new Backward(model, active);
  backward.send(loss, backward.one(loss));
  for (const node of order.reverse()) backward.through(node);
  const found = new Map<Value, Value>();
  for (const value of wrt) {
    const gradient = backward.received(value);
    if (gradient) found.set(value, gradient);
  }
  return found;
}

/**
 * Float values that depend on `wrt`, itself included, and codes that stand for floats; rules that stop
 * gradients stop here.
 */
function dependents(order: readonly Node[], wrt: readonly Value[]): Set<Value> {
  const active = new Set(wrt);
  for (const node of order) {
    if (gradientOf(node) === 'stop') continue;
    if (![...dependenciesOf(node)].some((value) => active.has(value))) continue;
    for (const output of node.outputs) {
      const isReal = output.dtype === undefined || isFloat(output.dtype);
      if (isReal || node.op === 'QuantizeLinear') active.add(output);
    }
  }
  return active;
}

/** Before anything is written: every active operator that the loss depends on needs a rule. */
function requireRules(
  order: readonly Node[],
  active: ReadonlySet<Value>,
  loss: Value,
  wrt: readonly Value[],
): void {
  const needed = new Set<Value>([loss]);
  for (const node of [...order].reverse()) {
    if (!node.outputs.some((value) => needed.has(value) && active.has(value))) continue;
    const inputs = [...dependenciesOf(node)].filter((value) => active.has(value));
    if (inputs.length > 0 && !gradientOf(node)) throw cutOff(node, behind(node, wrt));
    for (const value of inputs) needed.add(value);
  }
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

  constructor(model: Model, active: ReadonlySet<Value>) {
    this.#model = model;
    this.#active = active;
    this.#g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  }

  one(loss: Value): Value {
    const tensor = floatTensor(loss.dtype ?? 'float32', [], Float64Array.of(1));
    const one = this.#g.constant('one', tensor);
    const isScalar = loss.shape?.length === 0;
    return isScalar ? one : this.#g.op('Expand', [one, this.#g.op('Shape', [loss])]);
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
    if (!rule || rule === 'stop') return;
    const dy = node.outputs.map((value) => this.received(value));
    if (dy.every((gradient) => gradient === undefined)) return;
    const wanted = (value: Value) => this.#active.has(value);
    if (!node.inputs.some((value) => value && wanted(value))) return;
    const context = new GradientContext(this.#model, node, this.#g, dy, wanted);
    const gradients = this.#apply(node, () => rule(context));
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
    // What flows into codes is of the type of what they stand for.
    if (dtype && input.dtype && isFloat(input.dtype) && dtype !== input.dtype) {
      throw new Error(`${node.describe()}: gradient ${index} is ${dtype}, not ${input.dtype}`);
    }
    const isStated = shape && input.shape && isStatic(shape) && isStatic(input.shape);
    if (isStated && !sameShape(shape, input.shape)) {
      throw new Error(`${node.describe()}: gradient ${index} is [${shape}], not [${input.shape}]`);
    }
    return summed;
  }
}
