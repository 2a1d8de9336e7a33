// Nodes over packed weights: MatMulNBits for products, GatherBlockQuantized for tables, both of
// com.microsoft. A Gemm keeps its alpha as a Mul, and beta and C as an Add.

import { Builder, type Model, type Node, type Value } from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { removeDead } from '../match.ts';
import { importDomain } from '../pass.ts';
import { type Choice, type PackedValues, tableShape, type WeightsOptions } from './weights-plan.ts';

const domain = 'com.microsoft';

export function writeNBits(
  model: Model,
  choice: Choice,
  packed: PackedValues,
  options: WeightsOptions,
): void {
  const { graph, node, kind, transpose } = choice.weighted;
  importDomain(model, graph, domain, 1);
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const result =
    kind === 'gather' ? gather(g, choice, packed) : product(g, choice, packed, options);
  const old = node.output;
  if (!result.shape && old.type) result.type = old.type;
  graph.replace(old, result);
  removeDead(graph, transpose?.graph === graph ? [node, transpose] : [node]);
}

function gather(g: Builder, { weighted, scheme }: Choice, packed: PackedValues): Value {
  const { node, matrix } = weighted;
  const { bits, block } = scheme;
  const attrs = { bits, block_size: block, gather_axis: 0, quantize_axis: 1 };
  const { scales, zeroPoints } = packed;
  const inputs = [
    table(g, packed.codes),
    node.input(1),
    scales,
    ...(zeroPoints ? [zeroPoints] : []),
  ];
  const isWhole = matrix.width % block === 0;
  const options = isWhole ? named(g, node) : { domain };
  const rows = g.op('GatherBlockQuantized', inputs, attrs, options);
  if (isWhole) return rows;
  const ints = (value: number) => g.constant('slice', Tensor.int64([value]));
  return g.op('Slice', [rows, ints(0), ints(matrix.width), ints(-1)]);
}

/** The bytes of a weight that serves products, too, where a block is a dimension of its own. */
function table(g: Builder, codes: Value): Value {
  const shape = codes.data?.shape ?? [];
  if (shape.length === 2) return codes;
  return g.op('Reshape', [codes, g.constant('table_shape', Tensor.int64(tableShape(shape)))]);
}

function product(
  g: Builder,
  { weighted, scheme }: Choice,
  { codes, scales, zeroPoints }: PackedValues,
  { accuracyLevel }: WeightsOptions,
): Value {
  const { node, matrix } = weighted;
  const { bits, block } = scheme;
  const attrs = {
    K: matrix.width,
    N: matrix.rows,
    bits,
    block_size: block,
    accuracy_level: accuracyLevel,
  };
  const inputs = [node.input(0), codes, scales, ...(zeroPoints ? [zeroPoints] : [])];
  const result = g.op('MatMulNBits', inputs, attrs, named(g, node));
  return node.op === 'MatMul' ? result : withTerms(g, node, result);
}

function named(g: Builder, node: Node) {
  return { domain, name: node.name || g.graph.fresh(node.op) };
}

/** alpha * product + beta * C */
function withTerms(g: Builder, node: Node, result: Value): Value {
  const dtype = result.dtype ?? 'float32';
  const times = (value: Value, factor: number): Value => {
    if (factor === 1) return value;
    return g.op('Mul', [value, g.constant('factor', Tensor.scalar(dtype, factor))]);
  };
  const scaled = times(result, node.float('alpha', 1));
  const c = node.op === 'Gemm' ? node.input(2) : undefined;
  return c ? g.op('Add', [scaled, times(c, node.float('beta', 1))]) : scaled;
}
