// The parts networks are made of. A name is the module's: its weights are `name.weight`, `name.bias`.
// Attention stands in standard operators (MatMul, Softmax), so that it can be trained and pruned.

import type { Value } from '../graph/index.ts';
import { dtypeCode } from '../tensor/dtype.ts';
import { type Initializer, kaimingNormal, ones, truncatedNormal, zeros } from './initialize.ts';
import type { Net } from './net.ts';

/** TensorProto.FLOAT. */
const FLOAT = dtypeCode('float32');

export interface Sizes {
  readonly inputs: number;
  readonly outputs: number;
}

/** Initial weight and bias of a layer. */
export interface Start {
  readonly weight: Initializer;
  readonly bias?: Initializer;
}

/** How transformers start: He et al.'s rule does not hold without ReLU, 0.02 is what they use. */
export const TRANSFORMER: Start = { weight: truncatedNormal(0.02) };

/** x W^T + b over the last axis of a matrix [N, inputs]; the weight is [outputs, inputs]. */
export function dense(
  net: Net,
  x: Value,
  name: string,
  { inputs, outputs }: Sizes,
  start: Start,
): Value {
  const weight = net.weight(`${name}.weight`, [outputs, inputs], start.weight);
  const bias = net.weight(`${name}.bias`, [outputs], start.bias ?? zeros);
  return net.op(name, 'Gemm', [x, weight, bias], { transB: 1 });
}

/** x W + b over the last axis of a value of any rank; the weight is [inputs, outputs]. */
export function linear(
  net: Net,
  x: Value,
  name: string,
  { inputs, outputs }: Sizes,
  start = TRANSFORMER,
): Value {
  const weight = net.weight(`${name}.weight`, [inputs, outputs], start.weight);
  const bias = net.weight(`${name}.bias`, [outputs], start.bias ?? zeros);
  return net.op(name, 'Add', [net.op(name, 'MatMul', [x, weight]), bias]);
}

export function layerNorm(net: Net, x: Value, name: string, size: number, epsilon: number): Value {
  const scale = net.weight(`${name}.weight`, [size], ones);
  const bias = net.weight(`${name}.bias`, [size], zeros);
  return net.op(name, 'LayerNormalization', [x, scale, bias], { axis: -1, epsilon });
}

/** Drops a share of the elements while training; nothing in inference. */
export function dropout(net: Net, x: Value, name: string, rate: number): Value {
  return rate > 0 ? net.op(name, 'Dropout', [x, net.scalar(rate)]) : x;
}

export interface ConvSizes extends Sizes {
  readonly kernel: number;
  readonly stride?: number;
  /** One group per channel makes it depthwise. */
  readonly groups?: number;
}

/** A convolution without bias, padded so that stride 1 keeps the size. */
export function conv(net: Net, x: Value, name: string, sizes: ConvSizes): Value {
  const { inputs, outputs, kernel, stride = 1, groups = 1 } = sizes;
  const shape = [outputs, inputs / groups, kernel, kernel];
  const weight = net.weight(`${name}.weight`, shape, kaimingNormal('out', groups));
  const pad = (kernel - 1) / 2;
  return net.op(name, 'Conv', [x, weight], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
    dilations: [1, 1],
    group: groups,
  });
}

export function batchNorm(net: Net, x: Value, name: string, channels: number): Value {
  const weight = (part: string, start: Initializer) =>
    net.weight(`${name}.${part}`, [channels], start);
  const scale = weight('weight', ones);
  const bias = weight('bias', zeros);
  const mean = weight('running_mean', zeros);
  const variance = weight('running_var', ones);
  return net.op(name, 'BatchNormalization', [x, scale, bias, mean, variance], { epsilon: 1e-5 });
}

/** [N, C, H, W] → [N, C]. */
export function globalPool(net: Net, x: Value, name: string): Value {
  return net.op('', 'Flatten', [net.op(name, 'GlobalAveragePool', [x])], { axis: 1 });
}

export interface Heads {
  readonly hidden: number;
  readonly heads: number;
}

/**
 * softmax(q k^T / sqrt(d) + mask) v over projections [batch, seq, hidden], split into heads of size
 * d. `mask` is added to the scores [batch, heads, seq, seq].
 */
export function attention(
  net: Net,
  name: string,
  { q, k, v }: { readonly q: Value; readonly k: Value; readonly v: Value },
  { hidden, heads }: Heads,
  mask?: Value,
): Value {
  const size = hidden / heads;
  const split = (x: Value, perm: readonly number[]) =>
    net.op(name, 'Transpose', [net.op(name, 'Reshape', [x, net.ints(0, 0, heads, size)])], {
      perm,
    });
  const query = split(q, [0, 2, 1, 3]);
  const key = split(k, [0, 2, 3, 1]);
  const value = split(v, [0, 2, 1, 3]);
  const scores = net.op(name, 'MatMul', [query, key]);
  const scaled = net.op(name, 'Mul', [scores, net.scalar(1 / Math.sqrt(size))]);
  const masked = mask ? net.op(name, 'Add', [scaled, mask]) : scaled;
  const weights = net.op(name, 'Softmax', [masked], { axis: -1 });
  const context = net.op(name, 'MatMul', [weights, value]);
  const together = net.op(name, 'Transpose', [context], { perm: [0, 2, 1, 3] });
  return net.op(name, 'Reshape', [together, net.ints(0, 0, hidden)]);
}

/** Added to scores of later tokens; finite, so that weights hold no infinity. */
const LATER = -3.4028234663852886e38;

/** 0 where row i may see column j, j <= i; what hides all that is added to it elsewhere. [seq, seq]. */
export function causalMask(net: Net, steps: Value): Value {
  const columns = net.op('mask', 'Unsqueeze', [steps, net.ints(0)]);
  const rows = net.op('mask', 'Unsqueeze', [steps, net.ints(1)]);
  const isVisible = net.op('mask', 'LessOrEqual', [columns, rows]);
  return net.op('mask', 'Where', [isVisible, net.scalar(0), net.scalar(LATER)]);
}

/** What the original BERT adds to scores of padding: enough for softmax, and within float16. */
const PADDING = -10000;

/** 0 for tokens and a large negative number for padding, [batch, 1, 1, seq]. */
export function maskPenalty(net: Net, mask: Value): Value {
  const wide = net.op('mask', 'Unsqueeze', [mask, net.ints(1, 2)]);
  const real = net.op('mask', 'Cast', [wide], { to: FLOAT });
  const padding = net.op('mask', 'Sub', [net.scalar(1), real]);
  return net.op('mask', 'Mul', [padding, net.scalar(PADDING)]);
}

/** The rows of a table [rows, size] that the ids name. */
export function embedding(net: Net, ids: Value, name: string, table: Value): Value {
  return net.op(name, 'Gather', [table, ids]);
}

/** 0 … seq - 1 as int64 [seq], for ids of shape [batch, seq]. */
export function positions(net: Net, ids: Value): Value {
  const length = net.op('positions', 'Shape', [ids], { start: 1, end: 2 });
  const count = net.op('positions', 'Squeeze', [length, net.ints(0)]);
  return net.op('positions', 'Range', [net.int(0), count, net.int(1)]);
}

/** x E^T for the table E [vocab, hidden] of an embedding: one weight serves both. */
export function tiedLogits(net: Net, x: Value, name: string, table: Value): Value {
  const transposed = net.op(name, 'Transpose', [table], { perm: [1, 0] });
  return net.op(name, 'MatMul', [x, transposed]);
}
