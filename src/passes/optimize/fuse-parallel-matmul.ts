// Products of one input with several constant matrices (the q, k and v of attention) are one product
// with the matrices side by side, and a Split of the result.

import { attr, type Node, type Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { concatTensors } from '../../tensor/concat.ts';
import { isCalculable } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { constant, onlyReader, operands, producer, removeDead } from '../match.ts';
import { type RewriteContext, rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-parallel-matmul',
  summary: 'Makes one product and a Split of products of one input with several constants',
  on: ['MatMul', 'Gemm'],
  apply(node, context) {
    const [x] = node.inputs;
    const own = branchOf(node);
    if (!x || !own?.output.shape || context.opset < 2) return undefined;
    const readers = [...new Set(x.uses.filter((use) => use.index === 0).map((use) => use.node))];
    const branches = readers
      .map((reader) => (reader.graph === context.graph ? branchOf(reader) : undefined))
      .filter((branch): branch is Branch => branch !== undefined && branch.kind === own.kind);
    // The first sibling does it for all; k products and biases become one of each and a Split.
    if (branches.length < 2 || firstOf(branches, context) !== node) return undefined;
    const nodes = own.add ? 2 : 1;
    if (branches.length * nodes <= nodes + 1) return undefined;
    join(x, branches, own, context);
    return true;
  },
});

interface Branch {
  readonly node: Node;
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  /** The Add of the bias of a MatMul. */
  readonly add: Node | undefined;
  readonly output: Value;
  readonly columns: number;
  /** Branches of one kind can be joined. */
  readonly kind: string;
}

function branchOf(node: Node): Branch | undefined {
  if (node.domain !== '' || (node.op !== 'MatMul' && node.op !== 'Gemm')) return undefined;
  const weight = node.input(1);
  const data = weight && constantData(weight);
  if (!weight || data?.shape.length !== 2 || weight.uses.length > 1) return undefined;
  if (!isCalculable(data.dtype)) return undefined;
  if (node.op === 'Gemm') return gemmBranch(node, data);
  const columns = data.shape[1] as number;
  const add = biasAfter(node, columns);
  const [bias] = add ? add.inputs.flatMap((value) => constant(value) ?? []) : [];
  return {
    node,
    weight: data,
    bias: bias?.reshape([columns]),
    add,
    output: (add ?? node).output,
    columns,
    kind: `MatMul ${data.dtype} ${bias?.dtype}`,
  };
}

function gemmBranch(node: Node, weight: Tensor): Branch | undefined {
  const transB = node.int('transB', 0);
  const columns = weight.shape[transB ? 0 : 1] as number;
  const bias = constant(node.input(2));
  const isPlain = ['alpha', 'beta'].every((name) => node.float(name, 1) === 1);
  if (!isPlain || node.int('transA', 0) !== 0) return undefined;
  if (node.input(2) && bias?.size !== columns) return undefined;
  return {
    node,
    weight,
    bias: bias?.reshape([columns]),
    add: undefined,
    output: node.output,
    columns,
    kind: `Gemm ${transB} ${weight.dtype} ${bias?.dtype}`,
  };
}

/** The Add of one constant per column. */
function biasAfter(node: Node, columns: number): Node | undefined {
  const reader = onlyReader(node.output);
  const add = reader && producer(reader.output, 'Add');
  const [, bias] = (add && operands(add).find(([y]) => y === node.output)) ?? [];
  const data = constant(bias);
  const isRow = data?.size === columns && (data.shape.at(-1) ?? 1) === columns;
  return isRow && data.shape.length <= (node.output.shape?.length ?? 0) ? add : undefined;
}

function firstOf(branches: readonly Branch[], context: RewriteContext): Node | undefined {
  const nodes = new Set(branches.map((branch) => branch.node));
  for (const node of context.graph.nodes) if (nodes.has(node)) return node;
  return undefined;
}

function join(x: Value, branches: readonly Branch[], own: Branch, context: RewriteContext): void {
  const { g, graph, opset } = context;
  const { node } = own;
  const transB = node.int('transB', 0);
  const weights = branches.map((branch) => branch.weight);
  const weight = graph.addInitializer('joined_weight', concatTensors(weights, transB ? 0 : 1));
  const biases = branches.flatMap((branch) => branch.bias ?? []);
  const bias =
    biases.length > 0 ? graph.addInitializer('joined_bias', concatTensors(biases, 0)) : undefined;
  let y: Value;
  if (node.op === 'Gemm') {
    y = g.op('Gemm', bias ? [x, weight, bias] : [x, weight], { transB: transB || undefined });
  } else {
    y = g.op('MatMul', [x, weight]);
    if (bias) y = g.op('Add', [y, bias]);
  }
  const axis = (own.output.shape?.length ?? 0) - 1;
  const sizes = branches.map((branch) => branch.columns);
  const parts =
    opset >= 13
      ? g.ops('Split', [y, g.constant('sizes', Tensor.int64(sizes))], sizes.length, { axis })
      : g.ops('Split', [y], sizes.length, { axis, split: attr.ints(sizes) });
  branches.forEach((branch, i) => {
    const part = parts[i] as Value;
    part.type ??= branch.output.type;
    graph.replace(branch.output, part);
  });
  removeDead(
    graph,
    branches.flatMap((branch) => [branch.node, ...(branch.add ? [branch.add] : [])]),
  );
}
