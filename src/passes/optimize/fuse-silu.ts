// SiLU, also called Swish (Ramachandran et al., arXiv:1710.05941): x * sigmoid(alpha x).

import { attr, type Node, type Value } from '../../graph/index.ts';
import { fuse, isClosed, isSingleOrHalf, operands, producer, withScalar } from '../match.ts';
import { importDomain, rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-silu',
  summary: 'Makes one Swish of x * Sigmoid(x); com.microsoft.QuickGelu at level extended',
  on: 'Mul',
  apply(node, context) {
    const found = match(node);
    if (!found) return undefined;
    const { x, alpha, matched } = found;
    if (!isClosed(matched, node.output)) return skip('a step of it is read elsewhere');
    const { g, graph, model, opset, level } = context;
    if (opset >= 24) {
      const attrs = { alpha: alpha === 1 ? undefined : attr.float(alpha) };
      return fuse(context, matched, node.output, g.op('Swish', [x], attrs));
    }
    if (level !== 'extended') return skip(NEEDS);
    importDomain(model, graph, 'com.microsoft', 1);
    const attrs = { alpha: attr.float(alpha) };
    const by = g.op('QuickGelu', [x], attrs, { domain: 'com.microsoft' });
    return fuse(context, matched, node.output, by);
  },
});

interface Swish {
  readonly x: Value;
  readonly alpha: number;
  readonly matched: Set<Node>;
}

function match(node: Node): Swish | undefined {
  for (const [x, gate] of operands(node)) {
    const sigmoid = producer(gate, 'Sigmoid');
    const argument = sigmoid?.input(0);
    if (!sigmoid || !argument || !isSingleOrHalf(x)) continue;
    if (argument === x) return { x, alpha: 1, matched: new Set([node, sigmoid]) };
    const scaled = withScalar(argument, 'Mul');
    if (scaled?.x !== x) continue;
    return { x, alpha: scaled.scalar, matched: new Set([node, sigmoid, scaled.node]) };
  }
  return undefined;
}

const NEEDS = 'Swish needs opset 24; --opset 24 or --level extended allows it';
