// Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467):
// x / sqrt(mean(x^2) + epsilon) * scale over the last axes.

import { attr } from '../../graph/index.ts';
import { fuse, isClosed, isSingleOrHalf } from '../match.ts';
import { centred, normalizerAt, ones, withScaleAndShift } from '../norm.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-rms-norm',
  summary: 'Makes one RMSNormalization of its steps; onnxruntime has its own at level extended',
  on: ['Div', 'Mul'],
  apply(node, context) {
    const found = normalizerAt(node);
    // What has its mean subtracted is layer normalisation, even where that may not be fused.
    if (!found || centred(found.x)) return undefined;
    const isStandard = context.opset >= 23;
    if (!isStandard && context.level !== 'extended') {
      return skip('RMSNormalization needs opset 23; --opset 23 or --level extended allows it');
    }
    const { x, output, scale } = withScaleAndShift(context, found.x, found, false);
    if (!isSingleOrHalf(x)) return skip('it is neither float32 nor float16');
    if (!isClosed(found.matched, output)) return skip('a step of it is read elsewhere');
    const { g } = context;
    const last = output.producer;
    const gamma = scale ?? ones(context, x, found.axis);
    if (!last || !gamma) return skip('the size of what it normalises is not known');
    g.at = last;
    const axis = found.axis === found.rank - 1 ? -1 : found.axis;
    const op = isStandard ? 'RMSNormalization' : 'SimplifiedLayerNormalization';
    const by = g.op(op, [x, gamma], { axis, epsilon: attr.float(found.epsilon) });
    return fuse(context, found.matched, output, by);
  },
});
