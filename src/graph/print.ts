// Graphs as text, in a subset of the ONNX textual syntax (onnx/docs/Syntax.md), for --verbose, errors
// and test fixtures. Beyond it: names of any kind in double quotes, sizes as expressions (`batch*12`),
// and `{...}` for data that would fill the page.

import { elementsOf } from '../tensor/elements.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Attr } from './attr.ts';
import { isUnknown, type Shape } from './dim.ts';
import type { Graph } from './graph.ts';
import type { Model, ModelFunction } from './model.ts';
import type { Node } from './node.ts';
import type { Type } from './type.ts';
import type { Value } from './value.ts';

export interface PrintOptions {
  /** Names of nodes in brackets before them; default true. */
  readonly names?: boolean;
  /** Tensors of more elements are printed as `{...}`; default 64. */
  readonly maxElements?: number;
}

/** The main graph and the functions, with their headers. */
export function printModel(model: Model, options: PrintOptions = {}): string {
  const opsets = printOpsets(model.opsets);
  const printer = new Printer(options);
  return [
    `<ir_version: ${model.irVersion}, opset_import: ${opsets}>`,
    printer.graph(model.graph, ''),
    ...model.functions.map((f) => printer.function(f)),
  ].join('\n');
}

export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  return new Printer(options).graph(graph, '');
}

const PLAIN = /^[A-Za-z_][\w.]*$/;
const INDENT = '   ';
const decoder = new TextDecoder();

/** What ONNX's text calls types otherwise. */
const DTYPES: Readonly<Record<string, string>> = { float32: 'float', float64: 'double' };

function printOpsets(opsets: ReadonlyMap<string, number>): string {
  const list = [...opsets].map(([domain, version]) => `${JSON.stringify(domain)} : ${version}`);
  return `[${list.join(', ')}]`;
}

class Printer {
  readonly #names: boolean;
  readonly #maxElements: number;

  constructor({ names = true, maxElements = 64 }: PrintOptions) {
    this.#names = names;
    this.#maxElements = maxElements;
  }

  graph(graph: Graph, indent: string): string {
    const typed = (value: Value) => `${type(value.type)} ${name(value.name)}`.trimStart();
    const inputs = graph.inputs.map(typed).join(', ');
    const outputs = graph.outputs.map(typed).join(', ');
    const inner = indent + INDENT;
    const constants = [...graph.initializers].map((v) => `${inner}${this.#initializer(v)}`);
    return [
      `${name(graph.name || 'graph')} (${inputs}) => (${outputs})`,
      ...(constants.length > 0 ? [`${indent}<\n${constants.join(',\n')}\n${indent}>`] : []),
      `${indent}{`,
      ...[...graph.nodes].map((node) => `${inner}${this.#node(node, inner)}`),
      `${indent}}`,
    ].join('\n');
  }

  function(f: ModelFunction): string {
    const head = `<domain: ${JSON.stringify(f.domain)}, opset_import: ${printOpsets(f.opsets)}>`;
    const given = [
      ...f.attributes,
      ...[...f.defaults].map(([key, attr]) => `${key} = ${this.#attr(attr, '')}`),
    ];
    const attrs = given.length > 0 ? ` <${given.join(', ')}>` : '';
    const list = (values: readonly Value[]) => values.map((v) => name(v.name)).join(', ');
    const { inputs, outputs, nodes } = f.graph;
    return [
      head,
      `${name(f.name)}${attrs} (${list(inputs)}) => (${list(outputs)})`,
      '{',
      ...[...nodes].map((node) => `${INDENT}${this.#node(node, INDENT)}`),
      '}',
    ].join('\n');
  }

  #initializer(value: Value): string {
    const { data } = value;
    if (!data) return `${type(value.type)} ${name(value.name)}`;
    return `${tensorHead(data)} ${name(value.name)} = ${this.#elements(data)}`;
  }

  #node(node: Node, indent: string): string {
    const label = this.#names && node.name ? `[${name(node.name)}] ` : '';
    const outputs = node.outputs.map((v) => name(v.name)).join(', ');
    const op = node.domain ? `${node.domain}.${node.op}` : node.op;
    const attrs = [...node.attrs].map(([key, attr]) => {
      const empty = 'value' in attr && Array.isArray(attr.value) && attr.value.length === 0;
      return `${key}${empty ? `: ${attr.type}` : ''} = ${this.#attr(attr, indent)}`;
    });
    const list = attrs.length > 0 ? ` <${attrs.join(', ')}>` : '';
    const inputs = node.inputs.map((v) => (v ? name(v.name) : '')).join(', ');
    return `${label}${outputs} = ${op}${list} (${inputs})`;
  }

  #attr(attr: Attr, indent: string): string {
    switch (attr.type) {
      case 'int':
        return String(attr.value);
      case 'float':
        return float(attr.value);
      case 'string':
        return text(attr.value);
      case 'ints':
        return `[${attr.value.join(', ')}]`;
      case 'floats':
        return `[${attr.value.map(float).join(', ')}]`;
      case 'strings':
        return `[${attr.value.map(text).join(', ')}]`;
      case 'tensor':
        return `${tensorHead(attr.value)} ${this.#elements(attr.value)}`;
      case 'tensors':
        return `[${attr.value.map((t) => `${tensorHead(t)} ${this.#elements(t)}`).join(', ')}]`;
      case 'graph':
        return this.graph(attr.value, indent);
      case 'graphs':
        return `[${attr.value.map((g) => this.graph(g, indent)).join(', ')}]`;
      case 'type':
        return type(attr.value);
      case 'reference':
        return `@${attr.value}`;
      default:
        return '{...}';
    }
  }

  #elements(data: Tensor): string {
    if (data.size > this.#maxElements || data.isDerived) return '{...}';
    if ('strings' in data.source) return `{${data.source.strings.map(text).join(', ')}}`;
    const single = data.dtype !== 'float64';
    const values = Array.from(elementsOf(data) as ArrayLike<number | bigint>, (x) =>
      typeof x === 'bigint' ? String(x) : number(x, single),
    );
    return `{${values.join(', ')}}`;
  }
}

function name(text: string): string {
  return text === '' || PLAIN.test(text) ? text : JSON.stringify(text);
}

function text(bytes: Uint8Array): string {
  return JSON.stringify(decoder.decode(bytes));
}

function tensorHead({ dtype, shape }: Tensor): string {
  const dims = shape.length > 0 ? `[${shape.join(', ')}]` : '';
  return `${DTYPES[dtype] ?? dtype}${dims}`;
}

/** `float[N, 3]`; a scalar is `float`, unknown rank `float[]`, an unknown size `?`. */
function type(t: Type | undefined): string {
  if (!t) return '';
  if (t.kind === 'tensor' || t.kind === 'sparse') {
    const plain = `${DTYPES[t.dtype ?? ''] ?? t.dtype ?? 'undefined'}${dims(t.shape)}`;
    return t.kind === 'sparse' ? `sparse_tensor(${plain})` : plain;
  }
  if (t.kind === 'map') return `map(${t.key ?? 'undefined'}, ${type(t.value)})`;
  return `${t.kind === 'sequence' ? 'seq' : 'optional'}(${type(t.element)})`;
}

function dims(shape: Shape | undefined): string {
  if (!shape) return '[]';
  if (shape.length === 0) return '';
  return `[${shape.map((dim) => (isUnknown(dim) ? '?' : String(dim))).join(', ')}]`;
}

/** A float attribute keeps a point, so that it is told from an integer. */
function float(value: number): string {
  const plain = number(value, true);
  return /^-?\d+$/.test(plain) ? `${plain}.0` : plain;
}

/** The shortest decimal that is the same number in the type it has. */
function number(value: number, single: boolean): string {
  if (!Number.isFinite(value)) return String(value).toLowerCase().replace('infinity', 'inf');
  if (Object.is(value, -0)) return '-0.0';
  if (!single || Number.isInteger(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return String(short);
  }
  return String(value);
}
