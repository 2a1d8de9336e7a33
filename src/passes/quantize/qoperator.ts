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
  readonly output: Triple;
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
    return found && { op, domain: MICROSOFT, inputs: [...found.flat(), output[1], output[2]] };
  };

const unary =
  (op: string, extra: (node: Node) => Attrs = () => ({})): Rule =>
  ({ node, inputs, output }) => {
    const found = inputs(0);
    const all = found && [...found.flat(), output[1], output[2]];
    return (
      all && { op, domain: MICROSOFT, inputs: all, attrs: { ...attrsOf(node), ...extra(node) } }
    );
  };

const RULES: Readonly<Record<string, Rule>> = {
  Conv: ({ node, inputs, output, bias }) => {
    const found = inputs(0, 1);
    const codes = bias(2);
    if (!found || codes === false) return undefined;
    const all = [...found.flat(), output[1], output[2], ...(codes ? [codes] : [])];
    return { op: 'QLinearConv', domain: '', inputs: all, attrs: attrsOf(node) };
  },
  MatMul: ({ inputs, output }) => {
    const found = inputs(0, 1);
    const all = found && [...found.flat(), output[1], output[2]];
    return all && { op: 'QLinearMatMul', domain: '', inputs: all };
  },
  Gemm: ({ node, inputs, output, bias }) => {
    const found = inputs(0, 1);
    const codes = bias(2);
    if (!found || codes === false || node.float('beta', 1) !== 1) return undefined;
    const { beta: _, ...attrs } = attrsOf(node);
    const all = [...found.flat(), codes, output[1], output[2]];
    return { op: 'QGemm', domain: MICROSOFT, inputs: all, attrs };
  },
  Add: binary('QLinearAdd'),
  Mul: binary('QLinearMul'),
  Sigmoid: unary('QLinearSigmoid'),
  LeakyRelu: unary('QLinearLeakyRelu'),
  AveragePool: unary('QLinearAveragePool'),
  GlobalAveragePool: unary('QLinearGlobalAveragePool'),
  Concat: ({ node, inputs, output }) => {
    const found = inputs(...node.inputs.map((_, i) => i));
    const all = found && [output[1], output[2], ...found.flat()];
    return all && { op: 'QLinearConcat', domain: MICROSOFT, inputs: all, attrs: attrsOf(node) };
  },
};

/** Operators that move integers as they move floats. */
const MOVES = new Set([
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Slice',
  'Gather',
  'MaxPool',
  'Expand',
  'Tile',
]);

/** Edits the model in place. */
export function toQOperators(model: Model): void {
  for (const node of [...model.graph.nodes]) {
    if (node.domain !== '' || node.outputs.length !== 1) continue;
    const q = roundingOf(node);
    if (!q) continue;
    const form = RULES[node.op]?.(operandsOf(node, q)) ?? move(node);
    if (!form) continue;
    if (form.domain) importDomain(model, model.graph, form.domain, 1);
    const g = new Builder(model.graph, q, (made) => inferNode(model, made));
    const { domain } = form;
    const codes = g.op(form.op, form.inputs, form.attrs ?? {}, { domain, name: node.name });
    model.graph.replace(q.output, codes);
    removeDead(model.graph, deadCandidates(node, q));
  }
}

/** The QuantizeLinear that alone reads what a node makes, a Relu that the rounding does between them. */
function roundingOf(node: Node): Node | undefined {
  const reader = isOutput(node.output) ? undefined : onlyReader(node.output);
  if (reader?.op === 'QuantizeLinear') return reader;
  if (reader?.op !== 'Relu' || !RULES[node.op] || isOutput(reader.output)) return undefined;
  const next = onlyReader(reader.output);
  // The plan joins a Relu only where 0 is the smallest integer, so that rounding cuts it off, too.
  return next?.op === 'QuantizeLinear' ? next : undefined;
}

function operandsOf(node: Node, q: Node): Operands {
  return {
    node,
    inputs: (...indices) => {
      const triples = indices.map((i) => tripleOf(node.inputs[i]));
      return triples.every((triple) => triple !== undefined) ? (triples as Triple[]) : undefined;
    },
    output: [q.output, q.inputs[1] as Value, q.inputs[2] as Value],
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

/** Between a DequantizeLinear and a QuantizeLinear of one scale there are the same integers. */
function move(node: Node): Form | undefined {
  const first = tripleOf(node.inputs[0]);
  const q = roundingOf(node);
  if (!MOVES.has(node.op) || !first || first[1] !== q?.inputs[1]) return undefined;
  // The standard MaxPool takes 8-bit integers from opset 12 on.
  const inputs = [first[0], ...node.inputs.slice(1)];
  return { op: node.op, domain: '', inputs, attrs: attrsOf(node) };
}

function attrsOf(node: Node): Record<string, NonNullable<Attrs[string]>> {
  return Object.fromEntries(node.attrs);
}

function deadCandidates(node: Node, q: Node): Node[] {
  const makers = node.inputs.flatMap((value) => value?.producer ?? []);
  const between = q.inputs[0]?.producer;
  return [q, ...(between ? [between] : []), node, ...makers];
}
