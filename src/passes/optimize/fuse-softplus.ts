// Softplus: log(1 + exp(x)). As one operator it does not overflow.

import { fuse, isClosed, isScalar, operands, producer } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-softplus',
  summary: 'Makes one Softplus of Log(1 + Exp(x))',
  on: 'Log',
  apply(node, context) {
    const add = producer(node.input(0), 'Add');
    const found = add && operands(add).find(([, one]) => isScalar(one, 1));
    const exp = producer(found?.[0], 'Exp');
    const x = exp?.input(0);
    if (!add || !exp || !x || x.dtype !== 'float32') return undefined;
    const matched = new Set([node, add, exp]);
    if (!isClosed(matched, node.output)) return undefined;
    return fuse(context, matched, node.output, context.g.op('Softplus', [x]));
  },
});
