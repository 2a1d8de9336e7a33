// A bias and the GELU of the sum in one node: com.microsoft's BiasGelu, or FastGelu with a bias.

import { fuse, isOutput, isSingleOrHalf, onlyReader, operands, producer } from '../match.ts';
import { importDomain, rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-bias-gelu',
  summary: 'Makes one com.microsoft.BiasGelu or FastGelu of Add and Gelu',
  level: 'extended',
  on: '*',
  apply(node, context) {
    const isStandard = node.domain === '' && node.op === 'Gelu';
    const isMicrosoft = node.domain === 'com.microsoft' && ['Gelu', 'FastGelu'].includes(node.op);
    const [sum] = node.inputs;
    if ((!isStandard && !isMicrosoft) || !sum || node.input(1)) return undefined;
    const add = producer(sum, 'Add');
    if (!add || isOutput(sum) || onlyReader(sum) !== node || !isSingleOrHalf(sum)) return undefined;
    const size = sum.shape?.at(-1);
    for (const [x, bias] of operands(add)) {
      if (bias.shape?.length !== 1 || typeof size !== 'number' || bias.shape[0] !== size) continue;
      if (x.shape?.length !== sum.shape?.length || x.shape?.at(-1) !== size) continue;
      const isTanh = node.op === 'FastGelu' || node.string('approximate') === 'tanh';
      importDomain(context.model, context.graph, 'com.microsoft', 1);
      const op = isTanh ? 'FastGelu' : 'BiasGelu';
      const options = { domain: 'com.microsoft', name: node.name || undefined };
      const by = context.g.op(op, [x, bias], {}, options);
      return fuse(context, [node, add], node.output, by);
    }
    return undefined;
  },
});
