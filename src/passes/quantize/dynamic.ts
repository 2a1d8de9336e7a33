// Dynamic quantisation: weights of 8 bits, activations quantised at run time by the range of each
// input. Float inputs and outputs stay what they are between the nodes:
//
//   y = sx sw (q(x) - zx) (W - zw),   q(x), sx, zx = DynamicQuantizeLinear(x)
//
// (ONNX, DynamicQuantizeLinear and MatMulInteger; the scales are those of onnxruntime's own tools.)
// A weight that several nodes read is quantised and stored once; nodes that read one input share its
// quantisation.

import { allGraphs, type Model, type Value } from '../../graph/index.ts';
import { constantsToNodes } from '../function-constants.ts';
import { dropUnused, removeDead } from '../match.ts';
import { isFunctionBody } from '../pass.ts';
import { upgradeOpset } from '../upgrade/index.ts';
import type { QuantizeContext } from './context.ts';
import { writeAttention } from './dynamic-attention.ts';
import { writeConv } from './dynamic-conv.ts';
import { type Choice, choose, type DynamicOptions, type Kind } from './dynamic-plan.ts';
import { writeProduct } from './dynamic-product.ts';
import { writeRecurrent } from './dynamic-recurrent.ts';
import { writeTable } from './dynamic-table.ts';
import { DynamicWriter } from './dynamic-writer.ts';

export type { DynamicOptions } from './dynamic-plan.ts';

/** DynamicQuantizeLinear came with 11, scales per channel with 13. */
const NEEDED_OPSET = 13;

/** Edits the model in place; one of an older opset is lifted first, where that can be. */
export async function quantizeDynamic(
  model: Model,
  options: DynamicOptions,
  context: QuantizeContext,
): Promise<void> {
  liftInPlace(model);
  const chosen: Choice[] = [];
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) {
      const choice = choose(model, graph, node, options, context);
      if (choice) chosen.push(choice);
    }
  }
  const writer = new DynamicWriter(model, options, context.target);
  await writer.prepare(chosen);
  for (const choice of chosen) {
    WRITERS[choice.kind](writer, choice);
    context.decide(choice.node, 'int8', choice.reason);
  }
  for (const { weights } of chosen) {
    for (const { value } of weights) dropConstant(model, value);
  }
  for (const graph of allGraphs(model)) {
    if (isFunctionBody(model, graph)) constantsToNodes(graph);
  }
}

/** Removes a float weight, or the Constant that makes it, if nobody reads it any more. */
function dropConstant(model: Model, value: Value): void {
  const { producer } = value;
  if (producer?.graph) removeDead(producer.graph, [producer]);
  else for (const graph of allGraphs(model)) dropUnused(graph, value);
}

const WRITERS: Readonly<Record<Kind, (writer: DynamicWriter, choice: Choice) => void>> = {
  product: writeProduct,
  conv: writeConv,
  table: writeTable,
  attention: writeAttention,
  recurrent: writeRecurrent,
};

function liftInPlace(model: Model): void {
  const { model: lifted } = upgradeOpset(model, NEEDED_OPSET);
  if (lifted === model) return;
  const { graph, functions, opsets, irVersion } = lifted;
  Object.assign(model, { graph, functions, opsets, irVersion });
}
