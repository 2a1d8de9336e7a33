// Normalisations, embeddings and activations of com.microsoft, which onnxruntime's optimiser makes
// of patterns; the simplified ones are written without a domain, too.

import { type Dim, divideExactly, type Shape, unknownDim } from '../graph/index.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import { groupNormAxes, layerNormAxes, resizeGroupNorm } from './axes/norm.ts';
import { elementwiseAxes, unaryAxes } from './axes/same.ts';
import type { InferContext } from './context.ts';
import { sameAs } from './elementwise.ts';
import { statisticsShape } from './norm.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';

const domain = 'com.microsoft';

/** One output like input `index`. */
function same(op: string, index = 0): OpSpec {
  return { op, domain, infer: (c) => [sameAs(c, index)] };
}

/** Output, mean and inverse deviation over the last axis, and the sum before it is normalised. */
function skipNorm(c: InferContext): Inferred[] {
  const statistics = tensor('float32', statisticsShape(c, -1));
  return [sameAs(c, 0), statistics, statistics, sameAs(c, 0)];
}

function simplifiedNorm(inDomain: string): OpSpec {
  return {
    op: 'SimplifiedLayerNormalization',
    domain: inDomain,
    infer(c) {
      const axis = c.node.int('axis', -1);
      const statistics = tensor(dtypeOf(c.node.int('stash_type', 1)), statisticsShape(c, axis));
      return [tensor(c.dtype(1) ?? c.dtype(0), c.shape(0)), statistics];
    },
    axes: (l) => layerNormAxes(l),
  };
}

/** ids [B, S], table [V, D] → [B, S, D], the mask's lengths [B], and the sum before the norm. */
function embedLayerNorm(c: InferContext, dtype: DType | undefined): Inferred[] {
  const ids = c.shape(0);
  const width = c.shape(2)?.[1] ?? unknownDim();
  const shape: Shape | undefined = ids && [...ids, width];
  const batch = ids?.[0] ?? unknownDim();
  return [tensor(dtype, shape), tensor('int32', [batch]), tensor(dtype, shape)];
}

/** Half of the last axis gates the other half. */
function halved(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const last = x?.at(-1);
  const half: Dim = (last !== undefined && divideExactly(last, 2)) || unknownDim();
  return x && [...x.slice(0, -1), half];
}

function masked(op: string, maskType: DType): OpSpec {
  return {
    op,
    domain,
    infer(c) {
      const isPacked = maskType === 'uint32';
      return [sameAs(c, 0), tensor(maskType, isPacked ? [unknownDim()] : c.shape(0))];
    },
    pure: false,
  };
}

define(
  {
    op: 'SkipLayerNormalization',
    domain,
    infer: skipNorm,
    axes: (l) => layerNormAxes(l, { axis: -1, like: [1], parameters: [2, 3, 4] }),
  },
  {
    op: 'SkipSimplifiedLayerNormalization',
    domain,
    infer: skipNorm,
    axes: (l) => layerNormAxes(l, { axis: -1, like: [1], parameters: [2, 3] }),
  },
  simplifiedNorm(''),
  simplifiedNorm(domain),
  { op: 'EmbedLayerNormalization', domain, infer: (c) => embedLayerNorm(c, c.dtype(2)) },
  { op: 'QEmbedLayerNormalization', domain, infer: (c) => embedLayerNorm(c, 'float32') },
  // Channels last.
  {
    ...same('GroupNorm'),
    axes: groupNormAxes('groups', -1),
    resize: resizeGroupNorm('groups', -1),
  },
  { op: 'SkipGroupNorm', domain, infer: (c) => [sameAs(c, 0), sameAs(c, 0)] },
  { ...same('Gelu'), axes: unaryAxes },
  { ...same('FastGelu'), axes: elementwiseAxes },
  { ...same('QuickGelu'), axes: unaryAxes },
  { ...same('BiasGelu'), axes: elementwiseAxes },
  { ...same('BiasAdd'), axes: elementwiseAxes },
  same('BiasSoftmax'),
  same('Inverse'),
  same('Trilu'),
  same('SampleOp'),
  same('ComplexMul'),
  same('ComplexMulConj'),
  same('NGramRepeatBlock', 1),
  same('MoE'),
  same('QMoE'),
  { op: 'BiasSplitGelu', domain, infer: (c) => [tensor(c.dtype(0), halved(c))] },
  masked('BiasDropout', 'bool'),
  masked('BitmaskDropout', 'uint32'),
  masked('BitmaskBiasDropout', 'uint32'),
);
