// BatchNormalization of the last axis, between two Transposes that bring it to axis 1 and back, is a
// product and a sum with constants.

import { floatTensor, isCalculable } from '../../tensor/scale.ts';
import { normalization } from '../batchnorm.ts';
import { compose, isIdentity, permOf } from '../layout.ts';
import { fuse, onlyReader, producer } from '../match.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'convert-batchnorm',
  summary: 'Turns BatchNormalization between two Transposes into Mul and Add',
  on: 'BatchNormalization',
  apply(node, context) {
    const before = producer(node.input(0), 'Transpose');
    const reader = onlyReader(node.output);
    const after = reader && producer(reader.output, 'Transpose');
    const x = before?.input(0);
    const [there, back] = [before && permOf(before), after && permOf(after)];
    if (!before || !after || !x || !there || !back || onlyReader(before.output) !== node)
      return undefined;
    if (!isIdentity(compose(there, back)) || !x.dtype || !isCalculable(x.dtype)) return undefined;
    const found = normalization(node, context.opset);
    if ('skip' in found) return skip(found.skip);
    const { g } = context;
    g.at = after;
    // Axis 1 of what is normalised is this axis of x; sizes of 1 follow for those after it.
    const trailing = there.length - 1 - (there[1] as number);
    const shape = [found.scale.length, ...new Array<number>(trailing).fill(1)];
    const { dtype } = x;
    const vector = (role: string, values: Float64Array) =>
      g.constant(`${node.name}.${role}`, floatTensor(dtype, shape, values));
    const scaled = g.op('Mul', [x, vector('scale', found.scale)]);
    const y = g.op('Add', [scaled, vector('shift', found.shift)]);
    return fuse(context, [after, node, before], after.output, y);
  },
});
