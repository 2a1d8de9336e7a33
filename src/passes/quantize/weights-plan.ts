// What weight-only quantisation is asked for, and what it makes of each node: its scheme, or why it
// stays float; and which nodes read the same bytes.

import type { Graph, Node, Value } from '../../graph/index.ts';
import type { BlockBits, BlockScheme } from '../../tensor/blocks.ts';
import { groupEqual } from '../../tensor/hash.ts';
import type { Tensor } from '../../tensor/tensor.ts';
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

export interface Choice {
  readonly weighted: Weighted;
  readonly scheme: BlockScheme;
}

/** What becomes of a node; those that stay float are told at once. */
export function choose(
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
  return { weighted, scheme: schemeOf(weighted, bits, options) };
}

function bitsOf(wanted: Precision | undefined, bits: BlockBits): BlockBits | undefined {
  if (wanted === undefined) return bits;
  const found = { int8: 8, int4: 4, int2: 2 }[wanted as string] as BlockBits | undefined;
  return found;
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
    const key = [idOf(graph.root), content, matrix.isTransposed, bits, block].join();
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
