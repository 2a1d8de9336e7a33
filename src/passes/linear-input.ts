// An affine map per channel before a linear operator goes into it as well:
// W (s x + t) + b = (W s) x + (W t + b). Exact for Conv only where no padding follows the shift.

import assert from 'node:assert/strict';
import type { Node, Value } from '../graph/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import { floatsOf, floatTensor, isCalculable, scaleAxis, scaleBlocks } from '../tensor/scale.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { setConstant } from './linear.ts';
import { constant, onlyReader } from './match.ts';
import type { RewriteContext } from './pass.ts';

/** The Conv or Gemm that alone reads a value as its data input. */
export function consumerOf(value: Value): Node | undefined {
  const reader = onlyReader(value);
  const isLinear = reader?.domain === '' && (reader.op === 'Conv' || reader.op === 'Gemm');
  return isLinear && value.uses[0]?.index === 0 ? reader : undefined;
}

/** Folds x * scale + shift (per channel of x) into the node that reads it, or says why not. */
export function absorbBefore(
  context: RewriteContext,
  node: Node,
  { scale, shift }: { readonly scale: Float64Array; readonly shift: Float64Array },
): string | undefined {
  const weight = node.input(1);
  const data = constant(weight);
  if (!weight || !data || !isCalculable(data.dtype)) {
    return `the weight of ${node.describe()} is not a constant float`;
  }
  if (weight.uses.length > 1) return `the weight of ${node.describe()} is shared with other nodes`;
  if (node.op === 'Gemm' && node.int('transA', 0)) return `${node.describe()} transposes its input`;
  const bias = constant(node.input(2));
  if (node.input(2) && bias?.shape.length !== 1) {
    return `the bias of ${node.describe()} is not a constant vector`;
  }
  const shifts = shift.some((t) => t !== 0);
  if (shifts && node.op === 'Conv' && isPadded(node)) return `${node.describe()} pads its input`;
  const outputs = channelsOf(node, data);
  const inputs = node.op === 'Conv' ? (data.shape[1] ?? 0) * node.int('group', 1) : undefined;
  if ((inputs ?? scale.length) !== scale.length) return 'its statistics are not per channel';
  if (shifts) {
    const old = bias ? floatsOf(bias) : new Float64Array(outputs);
    if (old.length !== outputs) return `the bias of ${node.describe()} is not per channel`;
    const added = shiftOf(node, data, shift, outputs);
    const beta = node.float('beta', 1);
    const next = old.map((b, m) => b * beta + (added[m] as number));
    setConstant(context, node, 2, floatTensor(data.dtype, [outputs], next));
    node.setAttr('beta', undefined);
  }
  setConstant(context, node, 1, scaleInputs(node, data, scale));
  return undefined;
}

function isPadded(node: Node): boolean {
  const auto = node.string('auto_pad', 'NOTSET');
  return auto === 'NOTSET' ? (node.ints('pads') ?? []).some((p) => p !== 0) : auto !== 'VALID';
}

function channelsOf(node: Node, weight: Tensor): number {
  const axis = node.op === 'Conv' || node.int('transB', 0) ? 0 : 1;
  return weight.shape[axis] ?? 0;
}

function scaleInputs(node: Node, data: Tensor, scale: Float64Array): Tensor {
  if (node.op === 'Gemm') return scaleAxis(data, node.int('transB', 0) ? 1 : 0, scale);
  const block = elementCount(data.shape.slice(2));
  return scaleBlocks(data, block, (run) => scale[inputChannel(node, data, run)] as number);
}

/** Input channel of a Conv kernel, counted over W's first two axes [M, C/group]. */
function inputChannel(node: Node, { shape }: Tensor, kernel: number): number {
  const [outputs = 1, perGroup = 1] = shape;
  const outputsPerGroup = outputs / node.int('group', 1);
  const group = Math.floor(Math.floor(kernel / perGroup) / outputsPerGroup);
  return group * perGroup + (kernel % perGroup);
}

/** What a constant input `shift` contributes to each output channel. */
function shiftOf(node: Node, data: Tensor, shift: Float64Array, outputs: number): Float64Array {
  const weights = floatsOf(data);
  const sums = new Float64Array(outputs);
  if (node.op === 'Conv') {
    const block = elementCount(data.shape.slice(2));
    const perGroup = data.shape[1] ?? 1;
    for (let i = 0; i < weights.length; i++) {
      const kernel = Math.floor(i / block);
      const t = shift[inputChannel(node, data, kernel)] as number;
      sums[Math.floor(kernel / perGroup)] =
        (sums[Math.floor(kernel / perGroup)] as number) + (weights[i] as number) * t;
    }
    return sums;
  }
  const [rows = 0, columns = 0] = data.shape;
  assert.equal(rows * columns, weights.length);
  const transposed = node.int('transB', 0) !== 0;
  const alpha = node.float('alpha', 1);
  for (let i = 0; i < weights.length; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const [k, n] = transposed ? [column, row] : [row, column];
    sums[n] = (sums[n] as number) + alpha * (weights[i] as number) * (shift[k] as number);
  }
  return sums;
}
