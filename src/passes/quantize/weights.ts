// Weight-only quantisation: weights of 8, 4 or 2 bits in blocks that share a scale; activations stay
// float. A weight that several nodes read, or that stands in the file more than once, is quantised
// and stored once: a tied embedding serves Gather and MatMul with the same bytes.

import { allGraphs, type Model } from '../../graph/index.ts';
import { constantsToNodes } from '../function-constants.ts';
import { dropUnused } from '../match.ts';
import { isFunctionBody } from '../pass.ts';
import { upgradeOpset } from '../upgrade/index.ts';
import type { QuantizeContext } from './context.ts';
import type { Share } from './gptq.ts';
import { writeNBits } from './weights-nbits.ts';
import {
  type Choice,
  choose,
  opsetOf,
  type PackedValues,
  sharesOf,
  tableShape,
  type WeightsOptions,
} from './weights-plan.ts';
import { writeQdq } from './weights-qdq.ts';
import { roundShares } from './weights-round.ts';
import type { PackedTensors } from './weights-tensors.ts';

export type { WeightsOptions } from './weights-plan.ts';

export async function quantizeWeights(
  model: Model,
  options: WeightsOptions,
  context: QuantizeContext,
): Promise<void> {
  lift(model, opsetOf(options, context.target));
  const chosen: Choice[] = [];
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) {
      const choice = choose(model, graph, node, options, context);
      if (choice) chosen.push(choice);
    }
  }
  const shares = await sharesOf(chosen);
  const rounded = await roundShares(model, shares, options, context);
  for (const [share, { tensors, reason }] of rounded) {
    const packed = addInitializers(share, tensors);
    for (const choice of share) {
      write(model, choice, packed, options);
      context.decide(choice.weighted.node, `int${choice.scheme.bits}`, choice.reason ?? reason);
    }
  }
  for (const { weighted } of chosen) dropUnused(weighted.graph.root, weighted.value);
  for (const graph of allGraphs(model)) {
    if (isFunctionBody(model, graph)) constantsToNodes(graph);
  }
}

function write(model: Model, choice: Choice, packed: PackedValues, options: WeightsOptions): void {
  if (choice.form === 'nbits') writeNBits(model, choice, packed, options);
  else writeQdq(model, choice, packed);
}

/** Lifts a model to an opset; one that cannot be lifted stays as it was. */
function lift(model: Model, opset: number): void {
  if (model.opset >= opset) return;
  const { graph, functions, opsets, irVersion } = upgradeOpset(model, opset).model;
  Object.assign(model, { graph, functions, opsets, irVersion });
}

/** The quantised weight of some nodes, where all of them can read it. */
function addInitializers(share: Share, tensors: PackedTensors): PackedValues {
  const [{ weighted, scheme, form }] = share as [Choice];
  const { value, graph } = weighted;
  const { codes, scales, zeroPoints } = tensors;
  const isTable = form === 'nbits' && share.every((one) => one.weighted.kind === 'gather');
  const { root } = graph;
  const name = `${value.name}_Q${scheme.bits}`;
  return {
    codes: root.addInitializer(name, isTable ? codes.reshape(tableShape(codes.shape)) : codes),
    scales: root.addInitializer(`${name}_scales`, scales),
    zeroPoints: zeroPoints && root.addInitializer(`${name}_zero_points`, zeroPoints),
  };
}
