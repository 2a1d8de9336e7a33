// Layer normalisation (Ba et al., arXiv:1607.06450): (x - mean) / sqrt(var + epsilon) * scale + bias
// over the last axes, as exporters write it before opset 17.

import { attr, type Value } from '../../graph/index.ts';
import { fuse, isClosed } from '../match.ts';
import {
  centred,
  fitVector,
  type Normalized,
  normalizerAt,
  ones,
  type SpreadNormalizer,
  spreadNormalizer,
  withScaleAndShift,
} from '../norm.ts';
import { type RewriteContext, rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-layer-norm',
  summary: 'Makes one LayerNormalization of its steps',
  on: ['Div', 'Mul', 'Add'],
  apply(node, context) {
    const wide = node.op === 'Add' ? spreadNormalizer(node) : undefined;
    const core = node.op === 'Add' ? wide : normalizerAt(node);
    const difference = core && centred(core.x);
    if (!core || !difference || difference.axis !== core.axis) return undefined;
    // onnxruntime has the operator at every opset, ONNX from 17 on.
    if (context.opset < 17 && context.level !== 'extended') {
      return skip('LayerNormalization needs opset 17; --opset 17 or --level extended allows it');
    }
    for (const step of difference.nodes) core.matched.add(step);
    const found = wide
      ? spread(wide, difference.x, context)
      : withScaleAndShift(context, difference.x, core, true);
    if (!found) return skip('its scale and shift are not one per element');
    const { x, output, scale, bias } = found;
    const { axis, rank, epsilon, matched } = core;
    if (!isClosed(matched, output)) return skip('a step of it is read elsewhere');
    const { g } = context;
    const last = output.producer;
    const gamma = scale ?? ones(context, x, axis);
    if (!last || !gamma) return skip('the size of what it normalises is not known');
    g.at = last;
    const by = g.op('LayerNormalization', bias ? [x, gamma, bias] : [x, gamma], {
      axis: axis === rank - 1 ? -1 : axis,
      epsilon: attr.float(epsilon),
    });
    return fuse(context, matched, output, by);
  },
});

function spread(core: SpreadNormalizer, x: Value, context: RewriteContext): Normalized | undefined {
  const sizes = x.shape?.slice(core.axis);
  const scale = core.gamma && sizes && fitVector(core.gamma, sizes, core.rank, context);
  const bias = sizes && fitVector(core.beta, sizes, core.rank, context);
  if ((core.gamma && !scale) || !bias) return undefined;
  return { x, output: core.output, scale, bias };
}
