// Weight-only quantisation: weights of 8, 4 or 2 bits in blocks that share a scale; activations stay
// float. A weight that several nodes read, or that stands in the file more than once, is quantised
// and stored once: a tied embedding serves Gather and MatMul with the same bytes.

import { weightNotFinite } from '../../errors/model.ts';
import { allGraphs, type Model } from '../../graph/index.ts';
import { constantsToNodes } from '../function-constants.ts';
import { dropUnused } from '../match.ts';
import { isFunctionBody } from '../pass.ts';
import type { QuantizeContext } from './context.ts';
import { writeNBits } from './weights-nbits.ts';
import {
  type Choice,
  choose,
  type PackedValues,
  sharesOf,
  tableShape,
  type WeightsOptions,
} from './weights-plan.ts';
import { WeightStore } from './weights-store.ts';

export type { WeightsOptions } from './weights-plan.ts';

export async function quantizeWeights(
  model: Model,
  options: WeightsOptions,
  context: QuantizeContext,
): Promise<void> {
  const chosen: Choice[] = [];
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) {
      const choice = choose(graph, node, options, context);
      if (choice) chosen.push(choice);
    }
  }
  const store = new WeightStore();
  for (const share of await sharesOf(chosen)) {
    const packed = addInitializers(model, share, store);
    for (const choice of share) writeNBits(model, choice, packed, options);
  }
  for (const { weighted, scheme } of chosen) context.decide(weighted.node, `int${scheme.bits}`);
  for (const { weighted } of chosen) dropUnused(weighted.graph.root, weighted.value);
  for (const graph of allGraphs(model)) {
    if (isFunctionBody(model, graph)) constantsToNodes(graph);
  }
}

/** The quantised weight of some nodes, where all of them can read it. */
function addInitializers(model: Model, share: readonly Choice[], store: WeightStore): PackedValues {
  const [{ weighted, scheme }] = share as [Choice];
  const { matrix, node, value, graph } = weighted;
  const isTable = share.every((one) => one.weighted.kind === 'gather');
  const layout = 'blocks';
  const { codes, scales, zeroPoints } = store.tensors(
    matrix,
    { scheme, algorithm: 'rtn', layout },
    () => {
      throw weightNotFinite(value.name, node.describe(), model.path);
    },
  );
  const { root } = graph;
  const name = `${value.name}_Q${scheme.bits}`;
  return {
    codes: root.addInitializer(name, isTable ? codes.reshape(tableShape(codes.shape)) : codes),
    scales: root.addInitializer(`${name}_scales`, scales),
    zeroPoints: zeroPoints && root.addInitializer(`${name}_zero_points`, zeroPoints),
  };
}
