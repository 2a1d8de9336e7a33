// From QDQ form to operators that say in themselves that they work on integers: DequantizeLinear,
// operator, QuantizeLinear become QLinearConv, QLinearMatMul (ONNX) or QGemm, QLinearAdd … (of
// com.microsoft, onnxruntime's docs/ContribOperators.md). What has no such form stays as it was.

import { type Attrs, Builder, type Model, type Node, type Value } from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import { isOutput, onlyReader, removeDead } from '../match.ts';
import { importDomain } from '../pass.ts';

const MICROSOFT = 'com.microsoft';

/** Integers with their scale and zero point. */
type Triple = readonly [Value, Value, Value];

interface Operands {
  readonly node: Node;
  /** Data inputs that come from integers; undefined where one does not. */
  inputs(...indices: number[]): readonly Triple[] | undefined;
  /** Scale and zero point of the result; undefined where it stays float. */
  readonly output: readonly [Value, Value] | undefined;
  /** int32 codes of a bias, or undefined where there is none; false where it is float. */
  bias(index: number): Value | undefined | false;
}

interface Form {
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attrs?: Attrs;
}

type Rule = (o: Operands) => Form | undefined;

/** a, scale, zero point, b, scale, zero point, output scale, zero point. */
const binary =
  (op: string): Rule =>
  ({ inputs, output }) => {
    const found = inputs(0, 1);
    return found && output && { op, domain: MICROSOFT, inputs: [...found.flat(), ...output] };
  };

const unary =
  (op: string, extra: (node: Node) => Attrs | undefined = () => ({})): Rule =>
  ({ node, inputs, output }) => {
    const found = inputs(0);
    const more = extra(node);
    if (!found || !output || !more) return undefined;
    const attrs = { ...attrsOf(node), ...more };
    return { op, domain: MICROSOFT, inputs: [...found.flat(), ...output], attrs };
  };

const RULES: Readonly<Record<string, Rule>> = {
  Conv: ({ node, inputs, output, bias }) => {
    const found = inputs(0, 1);
    const codes = bias(2);
    if (!found || !output || codes === false) return undefined;
    const all = [...found.flat(), ...output, ...(codes ? [codes] : [])];
    return { op: 'QLinearConv', domain: '', inputs: all, attrs: attrsOf(node) };
  },
  MatMul: ({ inputs, output }) => {
    const found = inputs(0, 1);
    if (!found) return undefined;
    if (output) return { op: 'QLinearMatMul', domain: '', inputs: [...found.flat(), ...output] };
    const [[a, aScale, aZero], [b, bScale, bZero]] = found as [Triple, Triple];
    const all = [a, b, aScale, bScale, aZero, bZero];
    return { op: 'MatMulIntegerToFloat', domain: MICROSOFT, inputs: all };
  },
  Gemm: ({ node, inputs, output, bias }) => {
    const found = inputs(0, 1);
    const codes = bias(2);
    if (!found || codes === false || node.float('beta', 1) !== 1) return undefined;
    const { beta: _, ...attrs } = attrsOf(node);
    const all = [...found.flat(), ...(output ? [codes, ...output] : codes ? [codes] : [])];
    return { op: 'QGemm', domain: MICROSOFT, inputs: all, attrs };
  },
  Add: binary('QLinearAdd'),
  Mul: binary('QLinearMul'),
  Sigmoid: unary('QLinearSigmoid'),
  LeakyRelu: unary('QLinearLeakyRelu'),
  Softmax: unary('QLinearSoftmax', (node) => ({
    // The meaning that the axis has from opset 13 on.
    opset: 13,
    axis: node.int('axis', -1),
  })),
  AveragePool: unary('QLinearAveragePool', (node) =>
    node.ints('dilations')?.some((dilation) => dilation !== 1)
      ? undefined
      : { dilations: undefined },
  ),
  GlobalAveragePool: unary('QLinearGlobalAveragePool'),
  Concat: ({ node, inputs, output }) => {
    const found = inputs(...node.inputs.keys());
    const all = found && output && [...output, ...found.flat()];
    return all && { op: 'QLinearConcat', domain: MICROSOFT, inputs: all, attrs: attrsOf(node) };
  },
  Where: ({ node, inputs, output }) => {
    const found = inputs(1, 2);
    const all = found && output && [node.inputs[0], ...found.flat(), ...output];
    return all && { op: 'QLinearWhere', domain: MICROSOFT, inputs: all };
  },
};

/** Operators that move integers as they move floats, and whose kernels take them. */
const MOVES = new Set([
  ...['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose', 'DepthToSpace', 'Split', 'Slice'],
  ...['Gather', 'GatherElements', 'Expand', 'Tile', 'MaxPool', 'ReduceMax', 'Pad', 'Resize'],
]);

/** Edits the model in place. */
export function toQOperators(model: Model): void {
  for (const node of [...model.graph.nodes]) {
    if (node.domain !== '' || !node.graph) continue;
    const roundings = node.outputs.map((output) => roundingOf(output));
    if (!move(model, node, roundings)) calculate(model, node, roundings[0]);
  }
}

function calculate(model: Model, node: Node, q: Node | undefined): void {
  const form = RULES[node.op]?.(operandsOf(node, q));
  if (!form) return;
  if (form.domain) importDomain(model, model.graph, form.domain, 1);
  const g = new Builder(model.graph, q ?? node, (made) => inferNode(model, made));
  const { domain, op, inputs, attrs = {} } = form;
  const made = g.op(op, inputs, attrs, { domain, name: node.name || model.graph.fresh(op) });
  const old = q ? q.output : node.output;
  if (!made.type) made.type = old.type;
  model.graph.replace(old, made);
  removeDead(model.graph, deadCandidates(node, q ? [q] : []));
}

/** Between a DequantizeLinear and a QuantizeLinear of one scale there are the same integers. */
function move(model: Model, node: Node, roundings: readonly (Node | undefined)[]): boolean {
  const first = tripleOf(node.inputs[0]);
  if (!MOVES.has(node.op) || !first || !isNearest(node)) return false;
  const qs = roundings.flatMap((q) => q ?? []);
  if (qs.length !== node.outputs.length || qs.some((q) => q.inputs[1] !== first[1])) return false;
  const inputs = [first[0], ...node.inputs.slice(1)];
  // What was 0 has the code of 0.
  if (node.op === 'Pad' && node.string('mode', 'constant') === 'constant') inputs[2] = first[2];
  const { graph } = model;
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const name = node.name || graph.fresh(node.op);
  const results = g.ops(node.op, inputs, node.outputs.length, attrsOf(node), { name });
  results.forEach((codes, i) => {
    const old = qs[i]?.output;
    if (!old) return;
    if (!codes.type) codes.type = old.type;
    graph.replace(old, codes);
  });
  removeDead(graph, deadCandidates(node, qs));
  return true;
}

/** What lies between two integers would have to be rounded. */
function isNearest(node: Node): boolean {
  return node.op !== 'Resize' || node.string('mode', 'nearest') === 'nearest';
}

/** The QuantizeLinear that alone reads what a node makes. */
function roundingOf(value: Value): Node | undefined {
  const reader = isOutput(value) ? undefined : onlyReader(value);
  return reader?.op === 'QuantizeLinear' && reader.domain === '' ? reader : undefined;
}

function operandsOf(node: Node, q: Node | undefined): Operands {
  return {
    node,
    inputs: (...indices) => {
      const triples = indices.map((i) => tripleOf(node.inputs[i]));
      const isByte = (triple: Triple | undefined) =>
        triple?.[0].dtype === 'uint8' || triple?.[0].dtype === 'int8';
      return triples.every(isByte) ? (triples as Triple[]) : undefined;
    },
    output: q && [q.inputs[1] as Value, q.inputs[2] as Value],
    bias: (index) => {
      const value = node.inputs[index];
      if (!value) return undefined;
      const codes = tripleOf(value)?.[0];
      return codes?.dtype === 'int32' ? codes : false;
    },
  };
}

function tripleOf(value: Value | undefined): Triple | undefined {
  const node = value?.producer;
  if (node?.op !== 'DequantizeLinear' || node.domain !== '') return undefined;
  const [codes, scale, zeroPoint] = node.inputs;
  return codes && scale && zeroPoint ? [codes, scale, zeroPoint] : undefined;
}

function attrsOf(node: Node): Record<string, Attrs[string]> {
  return Object.fromEntries(node.attrs);
}

function deadCandidates(node: Node, roundings: readonly Node[]): Node[] {
  return [...roundings, node, ...node.inputs.flatMap((value) => value?.producer ?? [])];
}
