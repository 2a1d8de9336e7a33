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
  /** Of all groups together. */
  readonly rows: number;
  readonly width: number;
  /** Of a convolution: groups of rows that read inputs of their own. */
  readonly groups: number;
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
  if (!weight || !data) {
    const maker = weight?.producer?.op;
    return maker?.endsWith('Linear')
      ? `its weight comes from a ${maker}`
      : 'its weight is not constant';
  }
  if (!weight.data) return 'its weight is no initializer';
  if (data.dtype !== 'float32') return `its weight is ${data.dtype}`;
  if (data.shape.length < 2) return 'its weight is a vector';
  const [first = 1, ...rest] = data.shape;
  const behind = rest.reduce((a, b) => a * b, 1);
  if (node.op === 'Conv') {
    const groups = node.int('group', 1);
    return { node, weight, data, rows: first, width: behind, groups, isTransposed: false };
  }
  if (data.shape.length > 2) return `its weight has ${data.shape.length} dimensions`;
  return node.op === 'Gemm' && node.int('transB', 0) === 1
    ? { node, weight, data, rows: first, width: behind, groups: 1, isTransposed: false }
    : { node, weight, data, rows: behind, width: first, groups: 1, isTransposed: true };
}

/** W as rows, a copy: [rows · width]. */
export function rowsOf({ data, rows, width, isTransposed }: Product): Float32Array {
  const values = data.values() as Float32Array;
  if (!isTransposed) return values.slice();
  return transposed(values, width, rows, new Float32Array(values.length));
}

/** Rows as the weight has them. */
export function laidOut(
  { rows, width, isTransposed }: Product,
  values: Float32Array,
): Float32Array {
  if (!isTransposed) return values;
  return transposed(values, rows, width, new Float32Array(values.length));
}

/** W input by input, into memory for it: [width, rows]. */
export function inputsInto({ data, rows, width, isTransposed }: Product, into: Float32Array): void {
  const values = data.values() as Float32Array;
  if (isTransposed) into.set(values);
  else transposed(values, rows, width, into);
}

/** The same back again, as the weight has it; a copy. */
export function fromInputs(
  { rows, width, isTransposed }: Product,
  values: Float32Array,
): Float32Array {
  const copy = new Float32Array(values.length);
  if (!isTransposed) return transposed(values, width, rows, copy);
  copy.set(values);
  return copy;
}

/** Elements on a side of the squares that stay in the processor's cache. */
const TILE = 32;

/** Of a matrix [height, width]. */
function transposed(
  values: Float32Array,
  height: number,
  width: number,
  into: Float32Array,
): Float32Array {
  for (let top = 0; top < height; top += TILE) {
    const bottom = Math.min(height, top + TILE);
    for (let left = 0; left < width; left += TILE) {
      const right = Math.min(width, left + TILE);
      for (let i = top; i < bottom; i++) {
        for (let j = left; j < right; j++) into[j * height + i] = values[i * width + j] as number;
      }
    }
  }
  return into;
}
