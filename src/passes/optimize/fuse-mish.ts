// Mish (Misra, arXiv:1908.08681): x * tanh(softplus(x)).

import { fuse, isClosed, isSingleOrHalf, operands, producer } from '../match.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-mish',
  summary: 'Makes one Mish of x * Tanh(Softplus(x))',
  on: 'Mul',
  apply(node, context) {
    for (const [x, gate] of operands(node)) {
      const tanh = producer(gate, 'Tanh');
      const softplus = producer(tanh?.input(0), 'Softplus');
      if (!tanh || !softplus || softplus.input(0) !== x || !isSingleOrHalf(x)) continue;
      if (context.opset < 18) return skip('Mish needs opset 18; --opset 18 allows it');
      const matched = new Set([node, tanh, softplus]);
      if (!isClosed(matched, node.output)) return skip('a step of it is read elsewhere');
      return fuse(context, matched, node.output, context.g.op('Mish', [x]));
    }
    return undefined;
  },
});
