// FunctionProto, and the imports of operator versions that functions and models have.

import { type Attr, Graph, type ModelFunction, Value } from '../graph/index.ts';
import { FUNCTION, OPSET } from './fields.ts';
import { FunctionOrigin, type OpsetOrigin } from './origin.ts';
import { readAttrs } from './read-attr.ts';
import {
  addNode,
  type GraphContext,
  type Parts,
  readBody,
  readGraph,
  Scope,
} from './read-graph.ts';
import { canonicalDomain } from './read-node.ts';
import { BYTES, type Field, readNumber, readText, Scanner, type Span, VARINT } from './wire.ts';

export function readOpset(field: Field): OpsetOrigin {
  let domain = '';
  let version = 0;
  const scan = new Scanner(field, 'OperatorSetIdProto');
  while (scan.next()) {
    if (scan.number === OPSET.domain) {
      scan.expect(BYTES);
      domain = canonicalDomain(readText(scan));
    } else if (scan.number === OPSET.version) {
      scan.expect(VARINT);
      version = readNumber(scan);
    }
  }
  return { field, domain, version };
}

export function opsetsOf(imports: readonly OpsetOrigin[]): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of imports) {
    if (!opsets.has(domain)) opsets.set(domain, version);
  }
  return opsets;
}

export function readFunction(field: Span, context: GraphContext): ModelFunction {
  const origin = new FunctionOrigin();
  const parts: Parts = { nodes: [], infos: [], inputs: [], outputs: [] };
  const texts = { name: '', domain: '', overload: '' };
  const attributes: string[] = [];
  const defaults: Field[] = [];
  const lists: Readonly<Record<number, Field[]>> = {
    [FUNCTION.value_info]: parts.infos,
    [FUNCTION.input]: parts.inputs,
    [FUNCTION.output]: parts.outputs,
    [FUNCTION.attribute_proto]: defaults,
  };
  const scan = new Scanner(field, 'FunctionProto');
  while (scan.next()) {
    origin.leftovers.seen.add(scan.number);
    const list = lists[scan.number];
    if (list || scan.number === FUNCTION.node) scan.expect(BYTES);
    if (scan.number === FUNCTION.node) {
      addNode(parts, scan, context);
      continue;
    }
    context.budget.spend(scan);
    if (list) list.push(scan.field());
    else readFunctionField(scan, texts, attributes, origin);
  }
  const graph = readFunctionBody(texts.name, parts, context);
  return {
    ...texts,
    domain: canonicalDomain(texts.domain),
    graph,
    attributes,
    defaults: readDefaults(defaults, context),
    opsets: opsetsOf(origin.opsets),
    origin,
  };
}

function readFunctionField(
  scan: Scanner,
  texts: { name: string; domain: string; overload: string },
  attributes: string[],
  origin: FunctionOrigin,
): void {
  switch (scan.number) {
    case FUNCTION.name:
      scan.expect(BYTES);
      texts.name = readText(scan);
      break;
    case FUNCTION.domain:
      scan.expect(BYTES);
      texts.domain = readText(scan);
      break;
    case FUNCTION.overload:
      scan.expect(BYTES);
      texts.overload = readText(scan);
      break;
    case FUNCTION.attribute:
      scan.expect(BYTES);
      attributes.push(readText(scan));
      break;
    case FUNCTION.opset_import:
      scan.expect(BYTES);
      origin.opsets.push(readOpset(scan.field()));
      break;
    default:
      origin.leftovers.add(scan.field());
  }
}

/** Inputs and outputs of functions are bare names. */
function readFunctionBody(name: string, parts: Parts, context: GraphContext): Graph {
  const graph = new Graph(name);
  const scope = new Scope();
  graph.inputs = parts.inputs.map((field) => new Value(readText(field)));
  for (const input of graph.inputs) scope.add(input);
  readBody(graph, scope, parts, context);
  graph.outputs = parts.outputs.map((field) => {
    const output = readText(field);
    const known = scope.find(output) ?? new Value(output);
    scope.add(known);
    return known;
  });
  return graph;
}

function readDefaults(fields: readonly Field[], context: GraphContext): Map<string, Attr> {
  const inner = { ...context, depth: context.depth + 1 };
  const attrs = { ...inner, graph: (body: Field) => readGraph(body, inner) };
  return readAttrs(fields, attrs, 'a function');
}
