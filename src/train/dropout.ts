// Dropout while training (Srivastava et al. 2014): x · mask / (1 - p), with a mask that depends on the
// step, the node and the place alone, so that a resumed run drops the same and every provider does.

import { type Model, type Node, tensorType, Value } from '../graph/index.ts';
import { constantData } from '../ops/index.ts';
import { elementsOf } from '../tensor/elements.ts';
import { Formula } from './formula.ts';
import { noise } from './noise.ts';

/** The per-step input that numbers the steps; there only where something is dropped. */
export const STEP = 'step';

/** Puts masks in the place of Dropout nodes, in place; returns the input they read, if any. */
export function applyDropout(model: Model): Value | undefined {
  const nodes = [...model.graph.nodes].filter((node) => node.op === 'Dropout' && rateOf(node) > 0);
  if (nodes.length === 0) return undefined;
  const step = new Value(model.graph.fresh(STEP), tensorType('float64', []));
  model.graph.inputs.push(step);
  nodes.forEach((node, i) => {
    const [x, y] = [node.input(0) as Value, node.outputs[0] as Value];
    const f = new Formula(model);
    f.g.at = node;
    const rate = rateOf(node);
    const kept = f.op('GreaterOrEqual', [
      noise(f, x, f.add(step, (i + 1) * 0.569_840_290_998)),
      f.number(rate, 'float32'),
    ]);
    const mask = f.mul(f.cast(kept, x.dtype ?? 'float32'), 1 / (1 - rate));
    model.graph.replace(y, f.mul(x, mask));
  });
  return step;
}

/** p of a node whose mask nobody reads; 0 where it is not known. */
function rateOf(node: Node): number {
  if (node.outputs[1]?.uses.length) return 0;
  const value = node.input(1);
  if (!value) return node.float('ratio', 0.5);
  const data = constantData(value);
  return data ? Number(elementsOf(data)[0]) : 0;
}
