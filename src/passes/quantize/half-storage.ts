// Half precision as a way to store weights: initializers of half the size, each with a Cast to float32
// behind it. All computing stays as it was; runtimes fold the Casts when they load the model.

import {
  attr,
  type Graph,
  graphsOf,
  type Model,
  Node,
  tensorType,
  Value,
} from '../../graph/index.ts';
import { dtypeCode } from '../../tensor/dtype.ts';
import { type ConstantRange, halved, isMask, LIMITS, measureConstant } from './half-constants.ts';
import type { Half } from './half-ops.ts';

export interface StoredWeight {
  readonly value: Value;
  readonly graph: Graph;
  readonly range: ConstantRange;
  /** Why it stays float32. */
  readonly reason?: string | undefined;
}

/** A Cast in place of fewer numbers saves nothing. */
const MIN_WEIGHTS = 256;

/** Weights that are worth it, with what half would do to them. */
export async function storableWeights(
  model: Model,
  half: Half,
  keeps: (node: Node) => string | undefined,
): Promise<StoredWeight[]> {
  const found: StoredWeight[] = [];
  for (const graph of graphsOf(model.graph)) {
    for (const value of graph.initializers) {
      const { data, uses } = value;
      if (data?.dtype !== 'float32' || data.size < MIN_WEIGHTS || uses.length === 0) continue;
      if (!graph.isConstant(value) || graph.outputs.includes(value)) continue;
      const kept = uses.map(({ node }) => keeps(node) ?? wantsStored(node)).find(Boolean);
      const range = await measureConstant(data, half);
      found.push({ value, graph, range, reason: kept ?? whyKept(range, half) });
    }
  }
  return found;
}

/** Quantised operators and fused ones look at their weights before the Cast could be folded. */
function wantsStored({ domain, op }: Node): string | undefined {
  const isPlain = domain === '' && !/Quantize|^QLinear|Integer$/.test(op);
  return isPlain ? undefined : 'it reads weights as they are stored';
}

const MOST = 0.1;

function whyKept(range: ConstantRange, half: Half): string | undefined {
  const { size, over, leastOver, flushed, coarse } = range;
  if (over > 0 && !(isMask(range) && half === 'bfloat16')) {
    return `a weight of ${leastOver.toPrecision(3)} is beyond ${half} (${LIMITS[half].max})`;
  }
  if (flushed + coarse <= size * MOST) return undefined;
  return `${flushed + coarse} of ${size} weights are too small for ${half}`;
}

/** Edits the graphs that the weights stand in. */
export function storeInHalf(model: Model, half: Half, weights: readonly StoredWeight[]): void {
  for (const { value, graph, reason } of weights) {
    const { data } = value;
    const [first] = graph.nodes;
    if (reason !== undefined || !data || !first) continue;
    const wide = new Value(graph.fresh(`${value.name}_float32`));
    wide.type = tensorType('float32', data.shape);
    for (const { node, index } of [...value.uses]) node.setInput(index, wide);
    graph.setData(value, halved(data, half));
    const isOld = model.opset < 6;
    const to = isOld ? attr.string('FLOAT') : attr.int(dtypeCode('float32'));
    const node = new Node({
      op: 'Cast',
      name: graph.fresh(`${value.name}/Cast`),
      inputs: [value],
      outputs: [wide],
      attrs: new Map([['to', to]]),
    });
    graph.insertBefore(first, node);
  }
}
