// What weight-only quantisation is asked for, and what it makes of each node: its scheme, or why it
// stays float; and which nodes read the same bytes.

import type { Graph, Model, Node, Value } from '../../graph/index.ts';
import type { Target } from '../../targets/target.ts';
import type { BlockBits, BlockScheme } from '../../tensor/blocks.ts';
import type { DType } from '../../tensor/dtype.ts';
import { groupEqual } from '../../tensor/hash.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { opsetsAt } from '../pass.ts';
import type { Precision, QuantizeContext } from './context.ts';
import { kindOf, readWeighted, type Weighted } from './weights-read.ts';

export interface WeightsOptions {
  readonly bits: BlockBits;
  /** Weights that share a scale: a power of two from 16 to 256, or all of an output channel. */
  readonly block: number | 'channel';
  readonly symmetric: boolean;
  /** `auto`: MatMulNBits where the target has it, else DequantizeLinear. */
  readonly format: 'auto' | 'nbits' | 'qdq';
  readonly algorithm: 'rtn' | 'hqq' | 'gptq' | 'awq';
  /** Tables of Gather, too. Default: true. */
  readonly embeddings?: boolean | undefined;
  /** Least accuracy of MatMulNBits: 1 float32, 4 int8 activations. Default: the runtime's own. */
  readonly accuracyLevel?: number | undefined;
}

/** `nbits`: operators of com.microsoft that read packed weights; `qdq`: DequantizeLinear. */
export type Form = 'nbits' | 'qdq';

export interface Choice {
  readonly weighted: Weighted;
  readonly scheme: BlockScheme;
  readonly form: Form;
  /** One scale for all of a row. */
  readonly perChannel: boolean;
  /** Why it is less than was asked for. */
  readonly reason?: string | undefined;
}

/** What becomes of a node; those that stay float are told at once. */
export function choose(
  model: Model,
  graph: Graph,
  node: Node,
  options: WeightsOptions,
  context: QuantizeContext,
): Choice | undefined {
  const kind = kindOf(node);
  if (!kind) return undefined;
  const stays = (reason: string): undefined => void context.decide(node, 'float', reason);
  const bits = bitsOf(context.wanted(node), options.bits);
  if (bits === undefined) return stays('it was chosen to stay float');
  if (kind === 'gather' && options.embeddings === false) return stays('embeddings stay float');
  const weighted = readWeighted(graph, node, kind);
  if (typeof weighted === 'string') return stays(weighted);
  const choice =
    kind === 'gather'
      ? chooseTable(weighted, bits, options, context.target)
      : chooseWeight(weighted, bits, options, context);
  if (typeof choice === 'string') return stays(choice);
  if (choice.form === 'nbits') return choice;
  const opset = opsetsAt(model, graph).get('') ?? 1;
  const needed = opsetFor(choice.scheme.bits, choice.perChannel);
  return opset < needed ? stays(`DequantizeLinear of such weights needs opset ${needed}`) : choice;
}

function bitsOf(wanted: Precision | undefined, bits: BlockBits): BlockBits | undefined {
  if (wanted === undefined) return bits;
  return ({ int8: 8, int4: 4, int2: 2 } as Partial<Record<Precision, BlockBits>>)[wanted];
}

/** The opset in which DequantizeLinear takes such weights. */
function opsetFor(bits: BlockBits, perChannel: boolean): number {
  if (bits === 2) return 25;
  return bits === 8 && perChannel ? 13 : 21;
}

/** Slices take their bounds as inputs from here on. */
const PACKED_OPSET = 10;

/** The opset that the options may need. */
export function opsetOf({ bits, block, format }: WeightsOptions, target: Target): number {
  const hasPacked = target.has(`MatMulNBits:${bits}`);
  const isPacked = format === 'nbits' || (format === 'auto' && hasPacked);
  return isPacked && block !== 'channel' ? PACKED_OPSET : opsetFor(bits, block === 'channel');
}

/** Whether a target has an operator over packed weights, for scales of a type and with zero points. */
function hasKernel(
  target: Target,
  op: string,
  bits: BlockBits,
  type: DType,
  symmetric: boolean,
): boolean {
  const suffix = { float16: '-fp16', bfloat16: '-bf16' }[type as string] ?? '';
  const name = `${op}:${bits}`;
  return target.has(`${name}${suffix}`) && (symmetric || target.has(`${name}-zero-points`));
}

function chooseTable(
  weighted: Weighted,
  bits: BlockBits,
  options: WeightsOptions,
  target: Target,
): Choice {
  const isRow = options.block === 'channel';
  const type = weighted.matrix.data.dtype;
  const hasPacked = hasKernel(target, 'GatherBlockQuantized', bits, type, options.symmetric);
  if (bits < 8 && hasPacked) {
    // It knows no scales per row.
    const scheme = schemeOf(weighted, bits, isRow ? { ...options, block: 128 } : options);
    // Of 2-bit types it takes only bytes, four to each.
    const form = options.format === 'qdq' && bits === 4 ? 'qdq' : 'nbits';
    return { weighted, scheme, form, perChannel: false };
  }
  const scheme = schemeOf(weighted, 8, options);
  if (bits === 8 && hasPacked && !isRow && options.format !== 'qdq') {
    return { weighted, scheme, form: 'nbits', perChannel: false };
  }
  const reason = bits < 8 ? `${target.name} picks no rows of ${bits} bits: 8 instead` : undefined;
  return { weighted, scheme, form: 'qdq', perChannel: isRow, reason };
}

function chooseWeight(
  weighted: Weighted,
  asked: BlockBits,
  options: WeightsOptions,
  context: QuantizeContext,
): Choice | string {
  const { target } = context;
  const { kind, node } = weighted;
  // A channel of a Conv has but one scale, for what may be thousands of weights, or only nine.
  const isSpared = kind === 'conv' && asked < 8 && context.wanted(node) === undefined;
  const bits = isSpared ? 8 : asked;
  const reason = isSpared ? `${asked} bits with one scale per channel lose too much: 8` : undefined;
  const perChannel = kind === 'conv' || options.block === 'channel';
  const scheme = schemeOf(weighted, bits, perChannel ? { ...options, block: 'channel' } : options);
  const isProduct = kind === 'matmul' || kind === 'gemm';
  const hasPacked = hasKernel(target, 'MatMulNBits', bits, scheme.scaleType, scheme.symmetric);
  if (options.format !== 'qdq' && isProduct && hasPacked && options.block !== 'channel') {
    return { weighted, scheme, form: 'nbits', perChannel };
  }
  const refusal = isProduct ? refusePacked(scheme, options, target) : refuseUnpacking(options);
  return (
    refusal ??
    refuseDequantize(weighted, scheme, perChannel, target) ?? {
      weighted,
      scheme,
      form: 'qdq',
      perChannel,
      reason,
    }
  );
}

/** Why a product that is to be a MatMulNBits cannot be one. */
function refusePacked(
  { bits, scaleType }: BlockScheme,
  { format, block }: WeightsOptions,
  target: Target,
): string | undefined {
  if (format !== 'nbits') return undefined;
  if (block === 'channel') return 'MatMulNBits has no scales per channel';
  return `${target.name} has no MatMulNBits of ${bits} bits and ${scaleType}`;
}

function refuseUnpacking({ format }: WeightsOptions): string | undefined {
  return format === 'qdq'
    ? undefined
    : 'its weight would be unpacked in every run; format qdq stores it in few bits all the same';
}

function refuseDequantize(
  { matrix }: Weighted,
  { bits, symmetric }: BlockScheme,
  perChannel: boolean,
  target: Target,
): string | undefined {
  const type = `${symmetric ? 'int' : 'uint'}${bits}`;
  const [suffix, how] = perChannel ? ['per-channel', 'per channel'] : ['blocked', 'in blocks'];
  if (!target.has(`DequantizeLinear:${type}-${suffix}`)) {
    return `${target.name} has no DequantizeLinear of ${type} ${how}`;
  }
  // onnxruntime 1.30 fuses these into a MatMulNBits that is wrong.
  return bits === 2 && matrix.isTransposed && matrix.rows % 4 !== 0
    ? `it has ${matrix.rows} columns, and 2 bits need a multiple of 4`
    : undefined;
}

function schemeOf(
  { matrix }: Weighted,
  bits: BlockBits,
  { block, symmetric }: WeightsOptions,
): BlockScheme {
  const { width, data } = matrix;
  const scaleType = data.dtype;
  if (block === 'channel') return { bits, block: width, symmetric, scaleType };
  // A block that is wider than the matrix would be filled up with nothing.
  let size = block;
  while (size > 16 && size / 2 >= width) size /= 2;
  return { bits, block: size, symmetric, scaleType };
}

/** Nodes that read the same bytes, if they are quantised in the same way: of one model or function. */
export async function sharesOf(chosen: readonly Choice[]): Promise<Choice[][]> {
  const tensors = [...new Set(chosen.map(({ weighted }) => weighted.matrix.data))];
  const originals = new Map(tensors.map((tensor) => [tensor, tensor]));
  for (const group of await groupEqual(tensors, (tensor) => tensor)) {
    for (const tensor of group) originals.set(tensor, group[0] as Tensor);
  }
  const ids = new Map<unknown, number>();
  const idOf = (thing: unknown) => {
    ids.set(thing, ids.get(thing) ?? ids.size);
    return ids.get(thing);
  };
  const shares = new Map<string, Choice[]>();
  for (const choice of chosen) {
    const { matrix, graph } = choice.weighted;
    const { bits, block } = choice.scheme;
    const content = idOf(originals.get(matrix.data));
    const { form, perChannel } = choice;
    const key = [
      idOf(graph.root),
      content,
      matrix.isTransposed,
      bits,
      block,
      form,
      perChannel,
    ].join();
    const share = shares.get(key);
    if (share) share.push(choice);
    else shares.set(key, [choice]);
  }
  return [...shares.values()];
}

export interface PackedValues {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoints: Value | undefined;
}

/** [V, blocks, bytes of a block] as GatherBlockQuantized has it. */
export function tableShape([rows = 1, blocks = 1, bytes = 1]: readonly number[]): number[] {
  return [rows, blocks * bytes];
}
