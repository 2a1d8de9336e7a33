// Which values a statically quantised model rounds to integers. Products ask for integer operands;
// operators between them follow where all they read is made of integers already and what they make
// reaches another product; data movement carries the scale along. Everything else, above all what
// leads only to the outputs of the model, stays float.

import type { Model, Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { type QuantizeRole, quantizeRole } from '../../ops/quantize-roles.ts';
import { clipBounds, isOutput, numbers, onlyReader } from '../match.ts';

export interface Flow {
  /** Values with a Q/DQ pair behind them, in graph order. */
  readonly rounded: ReadonlySet<Value>;
  /** Values that are made of integers where they are rounded, or were before. */
  readonly made: ReadonlySet<Value>;
  /** Nodes that calculate with integers, or move them. */
  readonly integer: ReadonlySet<Node>;
  /** Relu and Clip that rounding makes superfluous where the range allows it, by their results. */
  readonly joined: ReadonlyMap<Value, Node>;
  /** Constant operands of followers. */
  readonly constants: ReadonlySet<Value>;
  /** The value whose scale a rounded value has: itself, or where the data was moved from. */
  scaleOf(value: Value): Value;
}

export interface FlowOptions {
  /** Products with integer operands. */
  readonly products: ReadonlySet<Node>;
  /** Values that were rounded by whoever made the model. */
  isGiven(value: Value): boolean;
  /** Whether the range of a value is known, or will be. */
  hasRange(value: Value): boolean;
}

export function planFlow(model: Model, options: FlowOptions): Flow {
  return new Planner(model, options).plan();
}

class Planner implements Flow {
  readonly #model: Model;
  readonly #options: FlowOptions;
  readonly #candidates = new Set<Value>();
  readonly #made = new Set<Value>();
  readonly #followers = new Set<Node>();
  #kept = new Set<Value>();
  readonly rounded = new Set<Value>();
  readonly integer = new Set<Node>();
  readonly joined = new Map<Value, Node>();
  readonly constants = new Set<Value>();

  constructor(model: Model, options: FlowOptions) {
    this.#model = model;
    this.#options = options;
  }

  get made(): ReadonlySet<Value> {
    return this.#made;
  }

  plan(): Flow {
    this.#goForward();
    this.#goBackward();
    this.#hoist();
    this.#joinFloats();
    for (const node of this.#options.products) this.integer.add(node);
    this.#finish();
    return this;
  }

  scaleOf(value: Value): Value {
    let source = value;
    for (;;) {
      const node = source.producer;
      const input = node && quantizeRole(node)?.kind === 'move' ? node.inputs[0] : undefined;
      if (!node || !input || !this.integer.has(node)) return source;
      source = input;
    }
  }

  /** Finds what could be rounded: what products read and make, and what follows. */
  #goForward(): void {
    const { products } = this.#options;
    for (const node of products) {
      for (const value of activations(node)) if (this.#isUsable(value)) this.#candidates.add(value);
    }
    for (const node of this.#model.graph.nodes) {
      const role = quantizeRole(node);
      if (!role) continue;
      if (products.has(node)) {
        if (role.needsOutput) this.#addResult(node);
      } else if (role.kind === 'move' || role.kind === 'follow' || role.kind === 'join') {
        if (this.#follows(node, role)) {
          this.#followers.add(node);
          this.#addResult(node);
        }
      }
    }
  }

  #addResult(node: Node): void {
    for (const output of node.outputs) {
      if (!output.name) continue;
      const joint = quantizeRole(node)?.kind === 'move' ? undefined : this.#joint(output);
      const result = joint?.output ?? output;
      if (joint) this.joined.set(result, joint);
      if (!this.#isUsable(result)) continue;
      this.#candidates.add(result);
      this.#made.add(result);
    }
  }

  /** The Relu or Clip that alone reads a value. */
  #joint(value: Value): Node | undefined {
    const reader = isOutput(value) ? undefined : onlyReader(value);
    if (!reader || quantizeRole(reader)?.kind !== 'join' || reader.inputs[0] !== value)
      return undefined;
    return boundsOf(reader) ? reader : undefined;
  }

  #isUsable(value: Value): boolean {
    const isGiven = this.#options.isGiven(value);
    return isGiven || (value.dtype === 'float32' && this.#options.hasRange(value));
  }

  #follows(node: Node, role: QuantizeRole): boolean {
    const data = dataInputs(node, role);
    const moving = data.filter((value) => !constantData(value));
    if (moving.length === 0 || (role.kind !== 'follow' && moving.length !== data.length))
      return false;
    if (node.outputs.some((value) => value.name && this.joined.has(value))) return false;
    if (!data.every((value) => this.#isFit(value))) return false;
    if (node.outputs.some((value) => value.name && !this.#canMake(node, value))) return false;
    if (role.takesFloats) {
      return (
        moving.some((value) => this.#made.has(value)) && moving.every((v) => this.#isUsable(v))
      );
    }
    return moving.every((value) => this.#candidates.has(value));
  }

  #canMake(node: Node, value: Value): boolean {
    // What is moved has the range of where it comes from.
    return (
      value.dtype === 'float32' && (quantizeRole(node)?.kind === 'move' || this.#isUsable(value))
    );
  }

  /** Constants that are tiny enough to look at must not widen ranges beyond all reason. */
  #isFit(value: Value): boolean {
    if (value.dtype !== 'float32') return false;
    if (!constantData(value)) return true;
    return numbers(value)?.every((x) => Math.abs(x) < WIDEST) ?? false;
  }

  /** Keeps what products read, what their kernels make, and all that lies between. */
  #goBackward(): void {
    const open: Value[] = [];
    const keep = (value: Value) => {
      if (this.#kept.has(value)) return;
      this.#kept.add(value);
      open.push(value);
    };
    for (const node of this.#options.products) {
      for (const value of activations(node)) keep(value);
      if (quantizeRole(node)?.needsOutput) keep(this.#resultOf(node.output));
    }
    for (let value = open.pop(); value; value = open.pop()) {
      const node = this.#makerOf(value);
      const role = node && quantizeRole(node);
      if (!node || !role || !this.#followers.has(node)) continue;
      this.integer.add(node);
      for (const input of dataInputs(node, role)) {
        if (constantData(input)) this.constants.add(input);
        else keep(input);
      }
      // A Split hands over all its parts in one type.
      for (const output of node.outputs) if (output.name) keep(this.#resultOf(output));
    }
  }

  #resultOf(value: Value): Value {
    const reader = onlyReader(value);
    return reader && this.joined.get(reader.output) === reader ? reader.output : value;
  }

  /** The kernel that makes a value, the Relu behind it included. */
  #makerOf(value: Value): Node | undefined {
    const joint = this.joined.get(value);
    return joint ? joint.inputs[0]?.producer : value.producer;
  }

  /** Rounds before data is moved and not after: it is smaller then, and the same. */
  #hoist(): void {
    const open = [...this.#kept];
    for (let value = open.pop(); value; value = open.pop()) {
      const node = value.producer;
      const role = node && quantizeRole(node);
      const input = node?.inputs[0];
      if (!node || !role?.permutes || !input || this.integer.has(node)) continue;
      if (input.dtype !== 'float32' || constantData(input) || !this.#options.hasRange(input))
        continue;
      if (isOutput(value) || isGraphOutput(input, this.#model) || !this.#onlyIntegersRead(input))
        continue;
      this.integer.add(node);
      this.#made.add(value);
      this.#kept.add(input);
      open.push(input);
    }
  }

  /** A Relu between a product that may make floats and a rounding that nobody goes around. */
  #joinFloats(): void {
    for (const value of this.#kept) {
      const node = value.producer;
      const maker = node?.inputs[0]?.producer;
      if (!node || !maker || this.joined.has(value) || !this.#options.products.has(maker)) continue;
      if (this.#joint(maker.output) !== node || isOutput(value)) continue;
      if (!this.#onlyIntegersRead(value)) continue;
      this.joined.set(value, node);
      this.#made.add(value);
    }
  }

  #onlyIntegersRead(value: Value): boolean {
    return value.uses.every(({ node }) => {
      if (this.integer.has(node) || this.#options.products.has(node)) return true;
      return quantizeRole(node)?.permutes === true && this.#kept.has(node.output);
    });
  }

  #finish(): void {
    const order = valuesInOrder(this.#model);
    for (const value of order) {
      if (this.#kept.has(value) && !this.#options.isGiven(value)) this.rounded.add(value);
    }
    for (const result of [...this.joined.keys()]) {
      if (!this.rounded.has(result)) this.joined.delete(result);
    }
  }
}

/** Masks are made of numbers like -1e9; no other value would be left beside one. */
const WIDEST = 1e4;

/** Bounds of a Relu or Clip with 0 between them; undefined where they are not known. */
export function boundsOf(node: Node): { min: number; max: number } | undefined {
  if (node.op === 'Relu') return { min: 0, max: Number.POSITIVE_INFINITY };
  const bounds = clipBounds(node);
  return bounds && bounds.min <= 0 && bounds.max >= 0 ? bounds : undefined;
}

/** Computed operands of a product. */
export function activations(node: Node): Value[] {
  return [node.inputs[0], node.inputs[1]].flatMap((value) =>
    value && !constantData(value) ? [value] : [],
  );
}

export function dataInputs(node: Node, role: QuantizeRole): Value[] {
  const indices = role.data ?? node.inputs.map((_, i) => i);
  return indices.flatMap((i) => node.inputs[i] ?? []);
}

function isGraphOutput(value: Value, model: Model): boolean {
  return model.graph.outputs.includes(value);
}

function* valuesInOrder(model: Model): Generator<Value> {
  yield* model.graph.inputs;
  for (const node of model.graph.nodes) yield* node.outputs;
}
