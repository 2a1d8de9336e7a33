// Layer normalisation (Ba et al., arXiv:1607.06450): (x - mean) / sqrt(var + epsilon) * scale + bias
// over the last axes, as exporters write it before opset 17.

import { attr } from '../../graph/index.ts';
import { fuse, isClosed } from '../match.ts';
import { centred, normalizerAt, ones, withScaleAndShift } from '../norm.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-layer-norm',
  summary: 'Makes one LayerNormalization of its steps',
  on: ['Div', 'Mul'],
  apply(node, context) {
    const found = normalizerAt(node);
    const difference = found && centred(found.x);
    if (!found || !difference || difference.axis !== found.axis) return undefined;
    // onnxruntime has the operator at every opset, ONNX from 17 on.
    if (context.opset < 17 && context.level !== 'extended') {
      return skip('LayerNormalization needs opset 17; --opset 17 or --level extended allows it');
    }
    for (const step of difference.nodes) found.matched.add(step);
    const { x, output, scale, bias } = withScaleAndShift(context, difference.x, found, true);
    if (!isClosed(found.matched, output)) return skip('a step of it is read elsewhere');
    const { g } = context;
    const last = output.producer;
    const gamma = scale ?? ones(context, x, found.axis);
    if (!last || !gamma) return skip('the size of what it normalises is not known');
    g.at = last;
    const axis = found.axis === found.rank - 1 ? -1 : found.axis;
    const by = g.op('LayerNormalization', bias ? [x, gamma, bias] : [x, gamma], {
      axis,
      epsilon: attr.float(found.epsilon),
    });
    return fuse(context, found.matched, output, by);
  },
});
