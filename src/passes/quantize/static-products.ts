// Which products a statically quantised model calculates with integers, which ones only store their
// weights as integers, and why the others stay float.

import type { Model, Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import type { Target } from '../../targets/target.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Precision } from './context.ts';
import { QUANTIZED } from './dynamic-plan.ts';
import type { StaticOptions } from './static.ts';

export interface ConstantOperand {
  readonly index: number;
  readonly value: Value;
  readonly data: Tensor;
}

/** What becomes of a product. */
export type Choice =
  /** Integers times integers; no weight where both operands are computed. */
  | { readonly kind: 'integer'; readonly weight: ConstantOperand | undefined }
  /** Floats, out of integers in the file. */
  | { readonly kind: 'stored'; readonly weight: ConstantOperand; readonly reason: string }
  | { readonly kind: 'float'; readonly reason: string };

/** Weight-carrying operators that other modes are for. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [':LSTM', ':GRU', ':RNN', ':Einsum', 'com.microsoft:Attention'].map((key) => [
      key,
      'no integer kernel takes it with calibrated ranges',
    ]),
  ),
  ...Object.fromEntries(
    ['FusedConv', 'FusedGemm', 'FusedMatMul', 'NhwcFusedConv'].map((op) => [
      `com.microsoft:${op}`,
      'a runtime fused it: quantise the model as it was before',
    ]),
  ),
};

export interface ChooseContext {
  readonly options: StaticOptions;
  readonly target: Target;
  wanted(node: Node): Precision | undefined;
}

/** By node, in graph order, everything that quantisation is about. */
export function chooseProducts(model: Model, context: ChooseContext): Map<Node, Choice> {
  const choices = new Map<Node, Choice>();
  for (const node of model.graph.nodes) {
    const choice = choose(model, node, context);
    if (choice) choices.set(node, choice);
  }
  return choices;
}

function choose(model: Model, node: Node, context: ChooseContext): Choice | undefined {
  const stays = (reason: string): Choice => ({ kind: 'float', reason });
  if (model.functionOf(node.op, node.domain)) return undefined;
  if (QUANTIZED.has(node.op)) return stays('it is quantised already');
  const elsewhere = ELSEWHERE[`${node.domain}:${node.op}`];
  if (elsewhere) return stays(elsewhere);
  if (quantizeRole(node)?.kind !== 'product') return undefined;
  const wanted = context.wanted(node);
  if (wanted === 'float') return stays('it was chosen to stay float');
  if (wanted && !INTEGER.has(wanted)) return stays(`it was to become ${wanted}`);
  const reason = unfit(node);
  return reason === undefined ? byOperands(node, context, wanted) : stays(reason);
}

const INTEGER: ReadonlySet<Precision> = new Set(['int8', 'int16', 'fp8']);

function unfit(node: Node): string | undefined {
  const operands = [node.inputs[0], node.inputs[1]];
  const odd = operands.find((value) => value?.dtype !== 'float32');
  if (odd !== undefined || operands.includes(undefined)) {
    return `it is of type ${odd?.dtype ?? 'unknown'}, and float32 is needed`;
  }
  const [first, second] = operands.map((value) => value?.producer);
  if (isConstantDequantize(first) || isConstantDequantize(second)) {
    return 'its weight is quantised already';
  }
  return undefined;
}

function isConstantDequantize(node: Node | undefined): boolean {
  const codes = node?.op === 'DequantizeLinear' ? node.inputs[0] : undefined;
  return codes !== undefined && constantData(codes) !== undefined;
}

function byOperands(
  node: Node,
  context: ChooseContext,
  wanted: Precision | undefined,
): Choice | undefined {
  const stays = (reason: string): Choice => ({ kind: 'float', reason });
  const { options, target } = context;
  const weights = [0, 1].flatMap((index): ConstantOperand[] => {
    const value = node.inputs[index];
    const data = value && constantData(value);
    return value && data ? [{ index, value, data }] : [];
  });
  const [weight] = weights;
  if (weights.length === 2) return stays('both operands are constant');
  if (!weight) return ofActivations(node, options, target, wanted);
  if (weight.data.size === 0) return stays('its weight is empty');
  if (weight.index === 0 && node.op !== 'MatMul') return stays('its first operand is constant');
  if (options.float8) {
    if (target.name === 'cuda') return { kind: 'integer', weight };
    const reason = `only its weight: ${target.name} has no kernel for products of float8`;
    return { kind: 'stored', weight, reason };
  }
  const lacking = lackingKernel(node, options, target, weight.index);
  if (lacking) return { kind: 'stored', weight, reason: `only its weight: ${lacking}` };
  const bias = biasProblem(node);
  return bias
    ? { kind: 'stored', weight, reason: `only its weight: ${bias}` }
    : { kind: 'integer', weight };
}

function ofActivations(
  node: Node,
  options: StaticOptions,
  target: Target,
  wanted: Precision | undefined,
): Choice {
  const stays = (reason: string): Choice => ({ kind: 'float', reason });
  if (node.op !== 'MatMul') return stays('its weight is computed');
  // The weight of somebody who may feed another one.
  if (node.inputs[1]?.data || node.inputs[0]?.data) return stays('its weight is an input');
  if (options.float8 || (wanted === undefined && !options.products)) {
    return stays('both operands are activations: rounding them loses more than it wins');
  }
  const lacking = lackingKernel(node, options, target, 0);
  return lacking ? stays(lacking) : { kind: 'integer', weight: undefined };
}

/** Products of 16 and of 4 bits have kernels nowhere here: they are for runtimes that bring their own. */
function lackingKernel(
  node: Node,
  { activations, weights }: StaticOptions,
  target: Target,
  constantIndex: number,
): string | undefined {
  const kernel = quantizeRole(node)?.kernel;
  if (!kernel) return `${target.name} has no integer kernel for ${node.op}`;
  const isForeign = activations.endsWith('16') || weights.endsWith('16') || weights === 'int4';
  if (isForeign) return undefined;
  const second = constantIndex === 1 ? weights : activations;
  const pair = `${kernel}:${letters(activations)}${letters(second)}`;
  if (!target.has(pair)) return `${target.name} has no kernel ${pair}`;
  const rank = node.op === 'Conv' ? node.inputs[1]?.shape?.length : undefined;
  const spatial = rank === 3 ? `${kernel}:1d` : rank === 5 ? `${kernel}:3d` : undefined;
  if (spatial && !target.has(spatial)) return `${target.name} has no kernel ${spatial}`;
  return undefined;
}

function letters(type: string): string {
  return type.replace('uint', 'u').replace('int', 's');
}

/** Why a bias cannot be made of int32, one for each output channel. */
function biasProblem(node: Node): string | undefined {
  const index = quantizeRole(node)?.bias;
  const bias = index === undefined ? undefined : node.inputs[index];
  if (!bias) return undefined;
  const data = constantData(bias);
  if (!data) return 'its bias is computed';
  if (data.dtype !== 'float32') return `its bias is of type ${data.dtype}`;
  const isRow = data.shape.slice(0, -1).every((dim) => dim === 1);
  return isRow ? undefined : `its bias is no vector, but [${data.shape}]`;
}
