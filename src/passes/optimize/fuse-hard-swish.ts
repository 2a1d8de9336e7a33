// HardSwish (Howard et al., "Searching for MobileNetV3", arXiv:1905.02244):
// x * max(0, min(1, x / 6 + 1/2)), from x * HardSigmoid(x) or x * Clip(x + 3, 0, 6) / 6.

import { attr, type Node, type Value } from '../../graph/index.ts';
import {
  clipBounds,
  fuse,
  isClosed,
  isNear,
  isSingleOrHalf,
  monomial,
  producer,
  withScalar,
} from '../match.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-hard-swish',
  summary: 'Makes one HardSwish of x * HardSigmoid(x) or x * Clip(x + 3, 0, 6) / 6',
  on: ['Mul', 'Div'],
  apply(node, context) {
    const product = monomial(node.output);
    for (const factor of product.powers.keys()) {
      const gate = hardSigmoid(factor) ?? shiftedClip(factor);
      if (!gate || !isSingleOrHalf(gate.x)) continue;
      const { coefficient, powers, nodes } = monomial(node.output, gate.x);
      const fits = powers.size === 2 && powers.get(gate.x) === 1 && powers.get(factor) === 1;
      if (!fits || !isNear(coefficient * gate.height, 1, node.output)) continue;
      const matched = new Set([...nodes, ...gate.nodes]);
      if (!isClosed(matched, node.output)) return skip('a step of it is read elsewhere');
      const { g, opset } = context;
      if (opset >= 14) return fuse(context, matched, node.output, g.op('HardSwish', [gate.x]));
      // Below opset 14 two nodes are left, which is fewer than with Clip.
      if (gate.nodes.length === 1 && nodes.size === 1) {
        return skip('HardSwish needs opset 14; --opset 14 allows it');
      }
      const sigmoid = g.op('HardSigmoid', [gate.x], { alpha: attr.float(1 / 6), beta: 0.5 });
      return fuse(context, matched, node.output, g.op('Mul', [gate.x, sigmoid]));
    }
    return undefined;
  },
});

interface Gate {
  readonly x: Value;
  readonly nodes: readonly Node[];
  /** The largest value it takes. */
  readonly height: number;
}

function hardSigmoid(value: Value): Gate | undefined {
  const node = producer(value, 'HardSigmoid');
  const x = node?.input(0);
  if (!node || !x) return undefined;
  const fits = isNear(node.float('alpha', 0.2), 1 / 6) && isNear(node.float('beta', 0.5), 0.5);
  return fits ? { x, nodes: [node], height: 1 } : undefined;
}

/** Clip(x + 3, 0, 6) */
function shiftedClip(value: Value): Gate | undefined {
  const clip = producer(value, 'Clip');
  const bounds = clip && clipBounds(clip);
  const sum = withScalar(clip?.input(0), 'Add');
  if (!clip || !sum || bounds?.min !== 0 || bounds.max !== 6 || sum.scalar !== 3) return undefined;
  return { x: sum.x, nodes: [clip, sum.node], height: 6 };
}
