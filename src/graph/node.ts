// A node: one operator call. It owns its outputs for life; inputs change only through `setInput`.

import type { Tensor } from '../tensor/tensor.ts';
import { type Attr, type AttrLike, attr } from './attr.ts';
import { Graph } from './graph.ts';
import { Value } from './value.ts';

export interface NodeParts {
  readonly op: string;
  /** '' is the standard domain (`ai.onnx` is read as ''). */
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attrs?: ReadonlyMap<string, Attr>;
  /** What the file format has to keep beside these; owned by `onnx/`. */
  readonly origin?: unknown;
}

const decoder = new TextDecoder();

export class Node {
  readonly op: string;
  readonly domain: string;
  name: string;
  readonly origin: unknown;
  readonly #outputs: Value[];
  readonly #inputs: (Value | undefined)[];
  readonly #attrs: Map<string, Attr>;

  /** Maintained by Graph. */
  readonly place: {
    graph?: Graph | undefined;
    previous?: Node | undefined;
    next?: Node | undefined;
  } = {};

  constructor(parts: NodeParts) {
    this.op = parts.op;
    this.domain = parts.domain ?? '';
    this.name = parts.name ?? '';
    this.origin = parts.origin;
    this.#outputs = [...parts.outputs];
    for (const output of parts.outputs) output.links.producer = this;
    this.#inputs = [];
    for (const input of parts.inputs) this.setInput(this.#inputs.length, input);
    this.#attrs = new Map(parts.attrs);
  }

  /** The graph this node stands in. */
  get graph(): Graph | undefined {
    return this.place.graph;
  }

  /** Inputs by position; undefined for an optional input that is left out. */
  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs;
  }

  input(index: number): Value | undefined {
    return this.#inputs[index];
  }

  /** Outputs by position; one without a name is left out. */
  get outputs(): readonly Value[] {
    return this.#outputs;
  }

  /** Asks for optional output `index`, under this name where it was left out. */
  demandOutput(index: number, name: string): Value {
    const present = this.#outputs[index];
    if (present?.name) return present;
    for (let i = this.#outputs.length; i < index; i++) this.#outputs.push(this.#made(''));
    const value = this.#made(name);
    this.#outputs[index] = value;
    return value;
  }

  #made(name: string): Value {
    const value = new Value(name);
    value.links.producer = this;
    return value;
  }

  /** Output 0, which every operator has. */
  get output(): Value {
    const [first] = this.outputs;
    if (!first) throw new Error(`node "${this.name}" (${this.op}) has no output`);
    return first;
  }

  /** Rewires one input; an index one past the end appends. */
  setInput(index: number, value: Value | undefined): void {
    const old = this.#inputs[index];
    if (old) old.links.uses = old.links.uses.filter((u) => u.node !== this || u.index !== index);
    while (this.#inputs.length < index) this.#inputs.push(undefined);
    this.#inputs[index] = value;
    value?.links.uses.push({ node: this, index });
  }

  /** Cuts the inputs to `count`. */
  dropInputs(count: number): void {
    for (let i = this.#inputs.length - 1; i >= count; i--) this.setInput(i, undefined);
    this.#inputs.length = Math.min(this.#inputs.length, count);
  }

  /** Forgets all inputs; part of removal. */
  disconnect(): void {
    this.dropInputs(0);
    for (const graph of this.subgraphs()) graph.disconnect();
  }

  get attrs(): ReadonlyMap<string, Attr> {
    return this.#attrs;
  }

  setAttr(name: string, value: Attr | undefined): void {
    if (value) this.#attrs.set(name, value);
    else this.#attrs.delete(name);
  }

  /** An integer attribute; values beyond 2^53 come rounded, which no clamping notices. */
  int(name: string): number | undefined;
  int(name: string, otherwise: number): number;
  int(name: string, otherwise?: number): number | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'int' ? Number(found.value) : otherwise;
  }

  float(name: string): number | undefined;
  float(name: string, otherwise: number): number;
  float(name: string, otherwise?: number): number | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'float' ? found.value : otherwise;
  }

  string(name: string): string | undefined;
  string(name: string, otherwise: string): string;
  string(name: string, otherwise?: string): string | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'string' ? decoder.decode(found.value) : otherwise;
  }

  ints(name: string): number[] | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'ints' ? found.value.map(Number) : undefined;
  }

  floats(name: string): readonly number[] | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'floats' ? found.value : undefined;
  }

  strings(name: string): string[] | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'strings' ? found.value.map((s) => decoder.decode(s)) : undefined;
  }

  tensor(name: string): Tensor | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'tensor' ? found.value : undefined;
  }

  subgraph(name: string): Graph | undefined {
    const found = this.#attrs.get(name);
    return found?.type === 'graph' ? found.value : undefined;
  }

  /** Every graph among the attributes (bodies of If, Loop, Scan …). */
  subgraphs(): Graph[] {
    return [...this.#attrs.values()].flatMap((a) => {
      if (a.type === 'graph') return [a.value];
      return a.type === 'graphs' ? [...a.value] : [];
    });
  }

  /** `node "conv1" (Conv)`, for messages; unnamed nodes are named by their first output. */
  describe(): string {
    const op = this.domain ? `${this.domain}.${this.op}` : this.op;
    if (this.name) return `node "${this.name}" (${op})`;
    const output = this.outputs.find((value) => value.name)?.name;
    return output ? `node making "${output}" (${op})` : `unnamed node (${op})`;
  }
}

/** Attributes from plain values: whole numbers become ints; say `attr.float(1)` for a float of 1. */
export function toAttrs(
  plain: Readonly<Record<string, AttrLike | Attr | undefined>>,
): Map<string, Attr> {
  const attrs = new Map<string, Attr>();
  for (const [name, value] of Object.entries(plain)) {
    if (value !== undefined) attrs.set(name, toAttr(value));
  }
  return attrs;
}

function toAttr(value: AttrLike | Attr): Attr {
  if (typeof value === 'number')
    return Number.isInteger(value) ? attr.int(value) : attr.float(value);
  if (typeof value === 'string') return attr.string(value);
  if (value instanceof Graph) return attr.graph(value);
  if (Array.isArray(value)) {
    if (value.some((v) => typeof v === 'string')) return attr.strings(value as string[]);
    const numbers = value as number[];
    return numbers.every(Number.isInteger) ? attr.ints(numbers) : attr.floats(numbers);
  }
  if ('dtype' in value) return attr.tensor(value);
  return value as Attr;
}
