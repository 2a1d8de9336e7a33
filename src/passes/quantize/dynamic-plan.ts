// What dynamic quantisation is asked for, and what it makes of each node: how, or why it stays float.

import type { Graph, Model, Node } from '../../graph/index.ts';
import type { Target } from '../../targets/target.ts';
import { opsetsAt } from '../pass.ts';
import type { QuantizeContext } from './context.ts';
import { readAttention, readConv, readProduct, readRecurrent, readTable } from './dynamic-read.ts';
import type { Weight } from './dynamic-weights.ts';

export interface DynamicOptions {
  /** Where weights are tables or of LSTM and GRU they are int8 always. */
  readonly weights: 'int8' | 'uint8';
  /** A scale for each output channel, or row of a table, instead of one for a whole weight. */
  readonly perChannel: boolean;
  /** Weights of 7 bits. Default: int8 where the target's products saturate. */
  readonly reduceRange?: boolean | undefined;
  /**
   * `fused`: DynamicQuantizeMatMul and MatMulIntegerToFloat of com.microsoft where the target has
   * them. `auto`: standard operators, which onnxruntime fuses into these when it loads a model; LSTM
   * and Attention have no others than those of com.microsoft.
   */
  readonly format: 'auto' | 'fused';
  /** Convolutions, too, which usually makes them slower. Default: false. */
  readonly convolutions?: boolean | undefined;
  /** Tables of Gather, too. Default: true. */
  readonly embeddings?: boolean | undefined;
  /** Products of two computed operands, too. Default: false. */
  readonly products?: boolean | undefined;
}

export type Kind = 'product' | 'conv' | 'table' | 'attention' | 'recurrent';

export interface Choice {
  readonly kind: Kind;
  readonly graph: Graph;
  readonly node: Node;
  /** None in a product of two computed operands. */
  readonly weights: readonly Weight[];
  /** Stands between the constant and the node. */
  readonly transpose?: Node | undefined;
  /** Why it is less than was asked for. */
  readonly reason?: string | undefined;
}

/** What a reader makes of a node, or why not. */
export type Reading = Omit<Choice, 'kind' | 'graph' | 'node'> | string;

const KINDS: Readonly<Record<string, Kind>> = {
  ':MatMul': 'product',
  ':Gemm': 'product',
  'com.microsoft:FusedMatMul': 'product',
  ':Conv': 'conv',
  ':Gather': 'table',
  ':LSTM': 'recurrent',
  ':GRU': 'recurrent',
  ':RNN': 'recurrent',
  'com.microsoft:Attention': 'attention',
};

export const QUANTIZED = new Set([
  ...['MatMulInteger', 'ConvInteger', 'QLinearConv', 'QLinearMatMul', 'QGemm', 'QAttention'],
  ...['DynamicQuantizeMatMul', 'MatMulIntegerToFloat', 'DynamicQuantizeLSTM', 'MatMulNBits'],
  ...['GatherBlockQuantized', 'MatMulBnb4', 'QMoE'],
]);

const FUSED = new Set(['FusedConv', 'FusedGemm', 'NhwcFusedConv']);

/** What becomes of a node; those that stay float are told at once. */
export function choose(
  model: Model,
  graph: Graph,
  node: Node,
  options: DynamicOptions,
  context: QuantizeContext,
): Choice | undefined {
  const stays = (reason: string): undefined => void context.decide(node, 'float', reason);
  if (QUANTIZED.has(node.op)) return stays('it is quantised already');
  if (node.domain === 'com.microsoft' && FUSED.has(node.op)) {
    return stays('a runtime fused it: quantise the model as it was before');
  }
  const kind = model.functionOf(node.op, node.domain)
    ? undefined
    : KINDS[`${node.domain}:${node.op}`];
  if (!kind) return undefined;
  const wanted = context.wanted(node);
  const reading = read(kind, node, options, wanted === 'int8');
  if (reading === undefined) return undefined;
  if (wanted !== undefined && wanted !== 'int8') {
    return stays(wanted === 'float' ? 'it was chosen to stay float' : `it was to become ${wanted}`);
  }
  if (typeof reading === 'string') return stays(reading);
  const opset = opsetsAt(model, graph).get('') ?? 1;
  const lacking = lacks(kind, reading.weights[0], context.target) ?? tooOld(kind, opset);
  return lacking ? stays(lacking) : { kind, graph, node, ...reading };
}

type Reader = (node: Node, options: DynamicOptions, isAsked: boolean) => Reading | undefined;

const READERS: Readonly<Record<Kind, Reader>> = {
  product: readProduct,
  conv: readConv,
  table: readTable,
  attention: readAttention,
  recurrent: readRecurrent,
};

function read(kind: Kind, node: Node, options: DynamicOptions, isAsked: boolean) {
  const isParameter = [...node.attrs.values()].some(({ type }) => type === 'reference');
  if (isParameter) return 'its attributes are those of the function it is part of';
  return READERS[kind](node, options, isAsked);
}

/** The kernel that a target must have for a node, and has not. */
function lacks(kind: Kind, weight: Weight | undefined, { name, has }: Target): string | undefined {
  const pair = weight?.type === 'int8' ? 'u8s8' : 'u8u8';
  const needed: Readonly<Record<Kind, readonly string[]>> = {
    product: ['DynamicQuantizeLinear', `MatMulInteger:${pair}`],
    conv: ['DynamicQuantizeLinear', `ConvInteger:${pair}`],
    attention: ['DynamicQuantizeLinear', `QAttention:${pair}`],
    table: ['DequantizeLinear:int8'],
    recurrent: weight?.isTurned
      ? ['DynamicQuantizeLSTM:s8-per-channel']
      : ['DequantizeLinear:int8'],
  };
  const missing = needed[kind].find((kernel) => !has(kernel));
  return missing && `${name} has no kernel ${missing}`;
}

function tooOld(kind: Kind, opset: number): string | undefined {
  const needed = kind === 'table' ? 10 : kind === 'recurrent' ? 13 : 11;
  return opset < needed
    ? `it needs opset ${needed}, and cannot be lifted from ${opset}`
    : undefined;
}
