// Weights behind DequantizeLinear, in standard operators: W [K, N] or [N, K] in blocks along K
// (opset 21), per channel where one block is all of K. A table of 8 bits is picked from before it is
// multiplied with its scales, so that only the rows in use are; one of 4 bits needs
// GatherBlockQuantized, as no Gather takes its type.

import { Builder, type Model, type Value } from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { removeDead } from '../match.ts';
import { importDomain } from '../pass.ts';
import type { Choice, PackedValues } from './weights-plan.ts';

export function writeQdq(model: Model, choice: Choice, packed: PackedValues): void {
  const { graph, node, kind, transpose, input } = choice.weighted;
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  if (kind === 'gather') {
    const isPacked = choice.scheme.bits === 4;
    if (isPacked) importDomain(model, graph, 'com.microsoft', 1);
    const rows = isPacked ? pickPacked(g, choice, packed) : pick(g, choice, packed);
    graph.replace(node.output, rows);
    removeDead(graph, [node]);
    return;
  }
  const weight = dequantize(g, choice, packed);
  node.setInput(input, transpose ? g.op('Transpose', [weight], { perm: [1, 0] }) : weight);
  if (transpose?.graph) removeDead(transpose.graph, [transpose]);
}

function dequantize(
  g: Builder,
  { weighted, scheme, perChannel }: Choice,
  { codes, scales, zeroPoints }: PackedValues,
): Value {
  const { isTransposed, data } = weighted.matrix;
  const last = data.shape.length - 1;
  const attrs = perChannel
    ? { axis: isTransposed ? last : 0 }
    : { axis: isTransposed ? last - 1 : last, block_size: scheme.block };
  return g.op('DequantizeLinear', [codes, scales, ...(zeroPoints ? [zeroPoints] : [])], attrs);
}

/** Codes, scales and zero points of some rows, then their product. */
function pick(g: Builder, { weighted, scheme, perChannel }: Choice, packed: PackedValues): Value {
  const { node } = weighted;
  const of = (value: Value) => g.op('Gather', [value, node.input(1)], { axis: 0 });
  const last = perChannel ? g.constant('last', Tensor.int64([-1])) : undefined;
  const small = (value: Value) => (last ? g.op('Unsqueeze', [of(value), last]) : of(value));
  const { codes, scales, zeroPoints } = packed;
  const inputs = [of(codes), small(scales), ...(zeroPoints ? [small(zeroPoints)] : [])];
  return g.op('DequantizeLinear', inputs, { axis: -1, block_size: scheme.block });
}

function pickPacked(g: Builder, { weighted, scheme }: Choice, packed: PackedValues): Value {
  const { codes, scales, zeroPoints } = packed;
  const inputs = [codes, weighted.node.input(1), scales, ...(zeroPoints ? [zeroPoints] : [])];
  const attrs = { block_size: scheme.block, gather_axis: 0, quantize_axis: 1 };
  return g.op('GatherBlockQuantized', inputs, attrs, { domain: 'com.microsoft' });
}
