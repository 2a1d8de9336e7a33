// Openings of normalisations. Source: onnxruntime docs/ContribOperators.md and
// core/graph/contrib_ops/bert_defs.cc.

import type { Value } from '../../graph/index.ts';
import type { Openable, Opening } from './openable.ts';

function layerNorm(o: Openable, x: Value, scale: Value, shift: Value | undefined): Value {
  const epsilon = o.float('epsilon', 1e-12);
  return o.op('LayerNormalization', [x, scale, shift], { axis: -1, epsilon });
}

/** x / √(mean(x²) + ε) · scale over the axes from `axis` on. */
function rmsNorm(o: Openable, x: Value, scale: Value, epsilon: number): Value {
  const rank = o.sizes(x).length;
  const given = o.node.int('axis', -1);
  const first = given < 0 ? given + rank : given;
  const axes = Array.from({ length: rank - first }, (_, i) => first + i);
  const square = o.f.mean(o.f.square(x), axes, true);
  const hat = o.f.div(x, o.f.sqrt(o.f.add(square, epsilon)));
  return o.f.mul(hat, scale);
}

/** The sum of data, residual and bias; output 3. */
function skipSum(o: Openable, bias: number): Value {
  return o.plus(o.f.add(o.x(0), o.x(1)), o.optional(bias));
}

function skipLayerNorm(o: Openable): (Value | undefined)[] {
  const sum = skipSum(o, 4);
  return [layerNorm(o, sum, o.x(2), o.optional(3)), undefined, undefined, sum];
}

function skipRmsNorm(o: Openable): (Value | undefined)[] {
  const sum = skipSum(o, 3);
  const y = rmsNorm(o, sum, o.x(2), o.node.float('epsilon', 1e-12));
  return [y, undefined, undefined, sum];
}

/** ids [B, S], segments [B, S]?, tables of words, places and segments, scale, shift, mask [B, S]?. */
function embedLayerNorm(o: Openable): (Value | undefined)[] {
  const [batch = 1, length = 1] = o.sizes(o.x(0));
  const pick = (table: Value, ids: Value) => o.op('Gather', [table, ids], { axis: 0 });
  const places = o.optional(8) ? pick(o.x(3), o.x(8)) : o.f.slice(o.x(3), 0, 0, length);
  const words = o.f.add(pick(o.x(2), o.x(0)), places);
  const segments = o.optional(1) && pick(o.x(4), o.x(1));
  const sum = o.plus(words, segments);
  const mask = o.optional(7);
  const lengths = mask
    ? o.op('Cast', [o.f.sum(mask, [1])], { to: INT32 })
    : o.op('Expand', [o.f.number(0, 'int32'), o.f.ints([batch])]);
  return [layerNorm(o, sum, o.x(5), o.x(6)), lengths, sum];
}

const INT32 = 6;

export const norms: Readonly<Record<string, Opening>> = {
  'com.microsoft:SkipLayerNormalization': skipLayerNorm,
  'com.microsoft:SkipSimplifiedLayerNormalization': skipRmsNorm,
  'com.microsoft:EmbedLayerNormalization': embedLayerNorm,
  ':SimplifiedLayerNormalization': (o) => [
    rmsNorm(o, o.x(0), o.x(1), o.node.float('epsilon', 1e-5)),
  ],
};
