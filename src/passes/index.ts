// The passes of `optimize`, in the order in which a round applies them.

import convertBatchnorm from './optimize/convert-batchnorm.ts';
import convertConcat from './optimize/convert-concat.ts';
import convertReduceMean from './optimize/convert-reduce-mean.ts';
import dropDead from './optimize/drop-dead.ts';
import dropIdentity from './optimize/drop-identity.ts';
import dropWeightInputs from './optimize/drop-weight-inputs.ts';
import dropZeroState from './optimize/drop-zero-state.ts';
import extractConstants from './optimize/extract-constants.ts';
import foldConstants from './optimize/fold-constants.ts';
import foldShapes from './optimize/fold-shapes.ts';
import fuseAttention from './optimize/fuse-attention.ts';
import fuseBatchnorm from './optimize/fuse-batchnorm.ts';
import fuseBias from './optimize/fuse-bias.ts';
import fuseBiasGelu from './optimize/fuse-bias-gelu.ts';
import fuseConstants from './optimize/fuse-constants.ts';
import fuseGelu from './optimize/fuse-gelu.ts';
import fuseGemm from './optimize/fuse-gemm.ts';
import fuseHardSigmoid from './optimize/fuse-hard-sigmoid.ts';
import fuseHardSwish from './optimize/fuse-hard-swish.ts';
import fuseInputAffine from './optimize/fuse-input-affine.ts';
import fuseLayerNorm from './optimize/fuse-layer-norm.ts';
import fuseMatmul from './optimize/fuse-matmul.ts';
import fuseMish from './optimize/fuse-mish.ts';
import fusePad from './optimize/fuse-pad.ts';
import fuseParallelMatmul from './optimize/fuse-parallel-matmul.ts';
import fuseRmsNorm from './optimize/fuse-rms-norm.ts';
import fuseScale from './optimize/fuse-scale.ts';
import fuseSilu from './optimize/fuse-silu.ts';
import fuseSkipLayerNorm from './optimize/fuse-skip-layer-norm.ts';
import fuseSlice from './optimize/fuse-slice.ts';
import fuseSoftmax from './optimize/fuse-softmax.ts';
import fuseSoftplus from './optimize/fuse-softplus.ts';
import inlineFunctions from './optimize/inline-functions.ts';
import inlineIf from './optimize/inline-if.ts';
import mergeCasts from './optimize/merge-casts.ts';
import mergeClips from './optimize/merge-clips.ts';
import mergeCommon from './optimize/merge-common.ts';
import mergeConcats from './optimize/merge-concats.ts';
import mergeDuplicates from './optimize/merge-duplicates.ts';
import mergeReshapes from './optimize/merge-reshapes.ts';
import mergeShapes from './optimize/merge-shapes.ts';
import mergeTransposes from './optimize/merge-transposes.ts';
import moveReshape from './optimize/move-reshape.ts';
import moveTranspose from './optimize/move-transpose.ts';
import sortNodes from './optimize/sort-nodes.ts';
import unrollLoop from './optimize/unroll-loop.ts';
import type { Pass } from './pass.ts';

/** Order matters: what a pass looks for must not have been taken apart by one before it. */
export const passes: readonly Pass[] = [
  sortNodes,
  dropWeightInputs,
  extractConstants,
  inlineFunctions,
  inlineIf,
  unrollLoop,
  foldShapes,
  dropIdentity,
  foldConstants,
  dropZeroState,
  mergeDuplicates,
  mergeCommon,
  mergeShapes,
  mergeCasts,
  mergeClips,
  mergeConcats,
  mergeReshapes,
  mergeTransposes,
  dropDead,
  fuseGemm,
  fuseBatchnorm,
  fusePad,
  fuseBias,
  fuseLayerNorm,
  fuseRmsNorm,
  fuseSoftmax,
  fuseAttention,
  fuseGelu,
  fuseSoftplus,
  fuseMish,
  fuseHardSwish,
  fuseHardSigmoid,
  fuseSilu,
  fuseConstants,
  fuseScale,
  fuseInputAffine,
  convertBatchnorm,
  convertConcat,
  convertReduceMean,
  fuseSlice,
  fuseParallelMatmul,
  moveTranspose,
  moveReshape,
  fuseBiasGelu,
  fuseSkipLayerNorm,
  fuseMatmul,
  dropDead,
];
