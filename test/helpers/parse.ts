// Models from text, the way `printModel` writes them: fixtures say what they are about, no more.
// Beyond that syntax: `float[3, 3] w = random` makes seeded normal numbers, a graph without a header
// has opset 17, and `#` begins a comment.

import {
  type Attr,
  attr,
  Graph,
  Model,
  type ModelFunction,
  Node,
  type Type,
  tensorType,
  Value,
} from '../../src/graph/index.ts';
import { dtypeInfo, elementCount } from '../../src/tensor/dtype.ts';
import { Random } from '../../src/tensor/random.ts';
import { floatTensor } from '../../src/tensor/scale.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { isDType, Words } from './words.ts';

const encoder = new TextEncoder();

/** The graph of `parseModel`'s model. */
export function parseGraph(text: string): Graph {
  return parseModel(text).graph;
}

export function parseModel(text: string): Model {
  return new Parser(text).model();
}

/** Values by name: of one graph, and of those around it. */
class Scope {
  readonly own = new Map<string, Value>();
  readonly outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.outer = outer;
  }

  get(name: string): Value | undefined {
    return this.own.get(name) ?? this.outer?.get(name);
  }

  set(name: string, value: Value): void {
    this.own.set(name, value);
  }

  /** What nothing in this graph makes is made around it, perhaps later in the text. */
  close(graph: Graph): void {
    for (const [name, value] of this.own) {
      const isMade = value.producer ?? value.data ?? graph.inputs.includes(value);
      if (!isMade && this.outer && !this.outer.get(name)) this.outer.set(name, value);
    }
  }
}

class Parser extends Words {
  model(): Model {
    const header = this.peek() === '<' ? this.#header() : new Map();
    const opsets = header.get('opset_import') ?? new Map([['', 17]]);
    const graph = this.#graph(undefined);
    const model = new Model(
      graph,
      opsets as Map<string, number>,
      Number(header.get('ir_version') ?? 8),
    );
    while (this.peek() !== undefined) model.functions.push(this.#function());
    return model;
  }

  #header(): Map<string, unknown> {
    const entries = this.list('<', '>', (): [string, unknown] => {
      const key = this.next();
      this.next(':');
      if (this.peek() !== '[') return [key, this.name()];
      const pairs = this.list('[', ']', (): [string, number] => {
        const domain = this.name();
        this.next(':');
        return [domain, Number(this.next())];
      });
      return [key, new Map(pairs)];
    });
    return new Map(entries);
  }

  #graph(around: Scope | undefined): Graph {
    return this.#body(this.name(), around);
  }

  /** What follows the name of a graph or function. */
  #body(name: string, around: Scope | undefined): Graph {
    const graph = new Graph(name);
    const scope = new Scope(around);
    graph.inputs = this.list('(', ')', () => this.#typedValue(scope));
    this.next('=>');
    const results = this.list('(', ')', () => this.#typed());
    if (this.peek() === '<') this.list('<', '>', () => this.#initializer(graph, scope));
    this.next('{');
    const types = new Map(results.map(({ name, type }) => [name, type]));
    while (!this.take('}')) graph.append(this.#node(scope, types));
    graph.outputs = results.map(({ name, type }) => {
      const value = scope.get(name) ?? new Value(name);
      if (type && scope.own.has(name)) value.type = type;
      return value;
    });
    scope.close(graph);
    return graph;
  }

  #typedValue(scope: Scope): Value {
    const { name, type } = this.#typed();
    const value = new Value(name, type);
    scope.set(name, value);
    return value;
  }

  /** `float[N] x`, or a bare name. */
  #typed(): { name: string; type: Type | undefined } {
    const type = this.type();
    return { name: this.name(), type };
  }

  #initializer(graph: Graph, scope: Scope): void {
    const { name, type } = this.#typed();
    const known = scope.own.get(name);
    const value = known ?? new Value(name, type);
    scope.set(name, value);
    if (!this.take('=')) {
      graph.declared.add(value);
      return;
    }
    value.data = this.#elements(type, name);
    value.type = tensorType(value.data.dtype, value.data.shape);
    graph.initializers.add(value);
  }

  #elements(type: Type | undefined, seed: string): Tensor {
    if (type?.kind !== 'tensor' || !type.dtype) throw new Error(`no type for the data of ${seed}`);
    const { dtype } = type;
    const dims = (type.shape ?? []) as readonly number[];
    if (this.take('random')) {
      const random = new Random(0, seed);
      const values = Float64Array.from({ length: elementCount(dims) }, () => random.normal());
      return floatTensor(dtype, dims, values);
    }
    const words = this.list('{', '}', () => this.name());
    if (dtype === 'string')
      return Tensor.strings(
        dims,
        words.map((w) => encoder.encode(w)),
      );
    if (dtype === 'int64') return Tensor.of(dtype, dims, BigInt64Array.from(words, BigInt));
    const values = words.map(toNumber);
    if (dtypeInfo(dtype).kind === 'float')
      return floatTensor(dtype, dims, Float64Array.from(values));
    return Tensor.of(dtype, dims, values);
  }

  #node(scope: Scope, types: ReadonlyMap<string, Type | undefined>): Node {
    let label = '';
    if (this.take('[')) {
      label = this.name();
      this.next(']');
    }
    const results: string[] = [];
    do results.push([',', '='].includes(this.peek() ?? '') ? '' : this.name());
    while (this.take(','));
    this.next('=');
    const word = this.name();
    const dot = word.lastIndexOf('.');
    const attrs = new Map<string, Attr>();
    if (this.peek() === '<') {
      for (const [key, value] of this.list('<', '>', () => this.#attr(scope)))
        attrs.set(key, value);
    }
    const inputs = this.#inputs().map((name) => {
      if (name === '') return undefined;
      const value = scope.get(name) ?? new Value(name);
      if (!scope.get(name)) scope.set(name, value);
      return value;
    });
    const outputs = results.map((name) => {
      const value = (name && scope.own.get(name)) || new Value(name, types.get(name));
      if (name) scope.set(name, value);
      return value;
    });
    const [domain, op] = [word.slice(0, Math.max(dot, 0)), word.slice(dot + 1)];
    return new Node({ op, domain, name: label, inputs, outputs, attrs });
  }

  /** Names, or nothing for an input that is left out. */
  #inputs(): string[] {
    const names: string[] = [];
    this.next('(');
    if (this.take(')')) return names;
    for (;;) {
      names.push([',', ')'].includes(this.peek() ?? '') ? '' : this.name());
      if (this.take(')')) return names;
      this.next(',');
    }
  }

  #attr(scope: Scope | undefined): [string, Attr] {
    const key = this.next();
    const kind = this.take(':') ? this.next() : undefined;
    this.next('=');
    return [key, this.#value(scope, kind)];
  }

  #value(scope: Scope | undefined, kind: string | undefined): Attr {
    const token = this.peek() ?? '';
    if (token === '[') return this.#listAttr(kind);
    if (token.startsWith('@')) return { type: 'reference', value: this.next().slice(1) };
    if (token.startsWith('"')) return attr.string(this.name());
    if (/^-?(\d|inf|nan)/.test(token)) {
      this.next();
      const isInt = /^-?\d+$/.test(token) && kind !== 'float';
      return isInt
        ? attr.int(BigInt(token) > 2n ** 53n ? BigInt(token) : Number(token))
        : attr.float(toNumber(token));
    }
    if (isDType(token)) {
      return attr.tensor(this.#elements(this.type(), 'attribute'));
    }
    return attr.graph(this.#graph(scope));
  }

  #listAttr(kind: string | undefined): Attr {
    const words = this.list('[', ']', () => this.next());
    if (kind === 'strings' || words[0]?.startsWith('"')) {
      return attr.strings(words.map((w) => JSON.parse(w) as string));
    }
    const whole = words.every((w) => /^-?\d+$/.test(w));
    return whole && kind !== 'floats'
      ? attr.ints(words.map(Number))
      : attr.floats(words.map(toNumber));
  }

  #function(): ModelFunction {
    const header = this.#header();
    const name = this.name();
    const attributes: string[] = [];
    const defaults = new Map<string, Attr>();
    if (this.peek() === '<') {
      this.list('<', '>', () => {
        if (this.peek(1) === ',' || this.peek(1) === '>') attributes.push(this.next());
        else defaults.set(...this.#attr(undefined));
      });
    }
    const graph = this.#body(name, undefined);
    const domain = String(header.get('domain') ?? '');
    const opsets = (header.get('opset_import') ?? new Map([['', 17]])) as Map<string, number>;
    return { name, domain, overload: '', graph, attributes, defaults, opsets };
  }
}

function toNumber(word: string): number {
  if (/inf$/.test(word))
    return word.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return word === 'nan' ? Number.NaN : word === 'true' ? 1 : word === 'false' ? 0 : Number(word);
}
