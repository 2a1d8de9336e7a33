// Which nodes hold a float matrix that can be quantised by itself, and how the matrix lies: MatMul
// and FusedMatMul [K, N], Gemm [K, N] or [N, K], Gather [V, D], Conv [M, C kh kw], Attention [K, N];
// also through a Transpose, as tied embeddings have it. Blocks always run along what is summed up.

import type { Graph, Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { byteLengthOf, elementCount } from '../../tensor/dtype.ts';
import { isCalculable } from '../../tensor/scale.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { constantBehind } from '../match.ts';
import type { Matrix } from './weights-store.ts';

export type WeightKind = 'matmul' | 'gemm' | 'gather' | 'conv' | 'attention';

export interface Weighted {
  readonly graph: Graph;
  readonly node: Node;
  readonly kind: WeightKind;
  /** Which input of `node` the weight is. */
  readonly input: number;
  /** The constant itself. */
  readonly value: Value;
  readonly matrix: Matrix;
  /** Stands between the constant and the node. */
  readonly transpose: Node | undefined;
}

const KINDS: Readonly<Record<string, WeightKind>> = {
  ':MatMul': 'matmul',
  'com.microsoft:FusedMatMul': 'matmul',
  ':Gemm': 'gemm',
  ':Gather': 'gather',
  ':Conv': 'conv',
  'com.microsoft:Attention': 'attention',
};

/** What a node is to quantisation of weights; undefined: nothing. */
export function kindOf(node: Node): WeightKind | undefined {
  const kind = KINDS[`${node.domain}:${node.op}`];
  const isTable = kind !== 'gather' || tableOf(node) !== undefined;
  return isTable ? kind : undefined;
}

/** Smaller ones save nothing that anybody would notice. */
const MIN_ELEMENTS = 1024;

/** The weight of a node, or why it stays float. */
export function readWeighted(graph: Graph, node: Node, kind: WeightKind): Weighted | string {
  const input = kind === 'gather' ? 0 : 1;
  const found = constantBehind(node.input(input));
  if (!found) return kind === 'conv' ? 'its weight is not constant' : notConstant(node, kind);
  const { value, data, transpose } = found;
  if (!isCalculable(data.dtype) || byteLengthOf(data.dtype, 1) > 4) {
    return `its weight is ${data.dtype}`;
  }
  const matrix = matrixOf(node, kind, data, transpose !== undefined);
  if (typeof matrix === 'string') return matrix;
  if (data.size < MIN_ELEMENTS) return `its weight has only ${data.size} elements`;
  return { graph, node, kind, input, value, matrix, transpose };
}

function notConstant(node: Node, kind: WeightKind): string {
  const first = kind === 'matmul' ? node.input(0) : undefined;
  return first && constantData(first)
    ? 'its constant is the first operand, not the second'
    : 'its second operand is not constant';
}

/** The float table [V, D] of a Gather. */
function tableOf(node: Node): Tensor | undefined {
  const value = node.input(0);
  const data = value && constantData(value);
  return data && isCalculable(data.dtype) ? data : undefined;
}

function matrixOf(node: Node, kind: WeightKind, data: Tensor, isTurned: boolean): Matrix | string {
  switch (kind) {
    case 'gather':
      return tableMatrix(node, data);
    case 'conv':
      return rowsOf(data);
    case 'gemm':
      return gemmMatrix(node, data, isTurned);
    default:
      return productMatrix(node, kind, data, isTurned);
  }
}

function tableMatrix(node: Node, data: Tensor): Matrix | string {
  if (data.shape.length !== 2) return `its table has ${data.shape.length} dimensions, not 2`;
  if (node.int('axis', 0) !== 0) return 'it picks columns, not rows';
  return rowsOf(data);
}

function rowsOf(data: Tensor): Matrix {
  const [rows = 1, ...rest] = data.shape;
  return { data, rows, width: elementCount(rest), isTransposed: false };
}

function gemmMatrix(node: Node, data: Tensor, isTurned: boolean): Matrix | string {
  if (node.int('transA', 0) !== 0) return 'it transposes its first operand';
  return matrix(data, isTurned !== (node.int('transB', 0) === 1));
}

function productMatrix(
  node: Node,
  kind: WeightKind,
  data: Tensor,
  isTurned: boolean,
): Matrix | string {
  const switches = ['transA', 'transBatchA', 'transBatchB'];
  if (switches.some((name) => node.int(name, 0) !== 0)) return 'it transposes an operand';
  const { shape } = data;
  if (shape.length < 2) return 'its weight is a vector';
  if (shape.slice(0, -2).some((size) => size !== 1)) return 'its weight is a stack of matrices';
  const rank = node.input(0)?.shape?.length;
  if (kind === 'matmul' && shape.length > 2 && (rank === undefined || rank < shape.length)) {
    return `its weight has ${shape.length} dimensions, and its input fewer, or nobody knows how many`;
  }
  return matrix(data, isTurned !== (node.int('transB', 0) === 1));
}

/** `isRows`: stored as [N, K]. */
function matrix(data: Tensor, isRows: boolean): Matrix {
  const [first = 1, second = 1] = data.shape.slice(-2);
  const [rows, width] = isRows ? [first, second] : [second, first];
  return { data, rows, width, isTransposed: !isRows };
}
