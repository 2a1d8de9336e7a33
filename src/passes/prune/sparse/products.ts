// Weights that single elements are pruned from: those of Conv, Gemm and MatMul, each seen as rows of
// outputs over columns of inputs, W [rows, width], wherever its elements lie.

import type { Model, Node, Value } from '../../../graph/index.ts';
import { constantData } from '../../../ops/index.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import type { Pattern } from '../../select.ts';

export interface Product {
  readonly node: Node;
  readonly weight: Value;
  readonly data: Tensor;
  readonly rows: number;
  readonly width: number;
  /** Whether element [r, k] lies at k · rows + r instead of r · width + k. */
  readonly isTransposed: boolean;
}

export interface Left {
  readonly node: Node;
  readonly reason: string;
}

export interface Choice {
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
}

const PRODUCTS = new Set(['Conv', 'Gemm', 'MatMul']);

/** Products of the main graph, each weight once, and those that are left whole. */
export function findProducts(
  model: Model,
  { skip, only }: Choice,
): { products: Product[]; left: Left[] } {
  const products: Product[] = [];
  const left: Left[] = [];
  const seen = new Set<Value>();
  for (const node of model.graph.nodes) {
    if (node.domain !== '' || !PRODUCTS.has(node.op)) continue;
    const reason = chosenNot(node, skip, only);
    const found = reason ?? readProduct(node);
    if (typeof found === 'string') left.push({ node, reason: found });
    else if (!seen.has(found.weight)) {
      seen.add(found.weight);
      products.push(found);
    }
  }
  return { products, left };
}

function chosenNot(
  node: Node,
  skip: readonly Pattern[],
  only: readonly Pattern[],
): string | undefined {
  const found = skip.find((pattern) => pattern.matches(node));
  if (found) return `--skip ${found.text}`;
  const isNamed = only.length === 0 || only.some((pattern) => pattern.matches(node));
  return isNamed ? undefined : 'not named by --only';
}

function readProduct(node: Node): Product | string {
  const weight = node.input(1);
  const data = weight && constantData(weight);
  if (!weight || !data) return 'its weight is not constant';
  if (!weight.data) return 'its weight is no initializer';
  if (data.dtype !== 'float32') return `its weight is ${data.dtype}`;
  if (data.shape.length < 2) return 'its weight is a vector';
  const [first = 1, ...rest] = data.shape;
  const behind = rest.reduce((a, b) => a * b, 1);
  if (node.op === 'Conv') {
    return { node, weight, data, rows: first, width: behind, isTransposed: false };
  }
  if (data.shape.length > 2) return `its weight has ${data.shape.length} dimensions`;
  return node.op === 'Gemm' && node.int('transB', 0) === 1
    ? { node, weight, data, rows: first, width: behind, isTransposed: false }
    : { node, weight, data, rows: behind, width: first, isTransposed: true };
}

/** W as rows, a copy: [rows · width]. */
export function rowsOf({ data, rows, width, isTransposed }: Product): Float32Array {
  const values = data.values() as Float32Array;
  if (!isTransposed) return values.slice();
  const turned = new Float32Array(values.length);
  for (let k = 0; k < width; k++) {
    for (let r = 0; r < rows; r++) turned[r * width + k] = values[k * rows + r] as number;
  }
  return turned;
}

/** Rows as the weight has them. */
export function laidOut(
  { rows, width, isTransposed }: Product,
  values: Float32Array,
): Float32Array {
  if (!isTransposed) return values;
  const turned = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < width; k++) turned[k * rows + r] = values[r * width + k] as number;
  }
  return turned;
}
