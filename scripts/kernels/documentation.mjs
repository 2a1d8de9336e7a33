// Kernels of providers that cannot be tried where the table is made, as onnxruntime documents them:
// CUDA in docs/OperatorKernels.md, WebGPU in js/web/docs/webgpu-operators.md. What they do not mention
// counts as missing: then other kernels are used, or the layer stays float.

const words = (text) => text.trim().split(/\s+/);

const CUDA_BF16 = words(`
  Abs Add Attention AveragePool Cast Concat Conv Div Dropout Erf Exp Expand Flatten Gather
  GatherElements GatherND Gelu Gemm HardSigmoid HardSwish Identity LayerNormalization MatMul Max Min
  Mod Mul Neg Pow ReduceSum Relu Reshape RMSNormalization RotaryEmbedding ScatterElements ScatterND
  Sigmoid Sign SimplifiedLayerNormalization Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Tile
  Transpose Trilu Unsqueeze Where BiasGelu FastGelu FusedMatMul GroupQueryAttention
  MultiHeadAttention QuickGelu SkipLayerNormalization SkipSimplifiedLayerNormalization
  com.microsoft.Attention com.microsoft.Gelu com.microsoft.RotaryEmbedding`);

const CUDA_FP16 = words(`
  BatchNormalization Ceil Clip ConvTranspose Cos CumSum DepthToSpace Einsum Elu Equal Floor GRU
  GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual InstanceNormalization LRN LSTM LeakyRelu Less
  LessOrEqual Log LogSoftmax MaxPool PRelu Pad RNN Reciprocal ReduceL1 ReduceL2 ReduceLogSum
  ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare Resize Round Selu Shrink
  Sin Softplus Softsign SpaceToDepth ThresholdedRelu TopK EmbedLayerNormalization`);

const CUDA_FLOAT = words(`
  com.microsoft.Attention MultiHeadAttention com.microsoft.RotaryEmbedding SkipLayerNormalization
  SkipSimplifiedLayerNormalization SimplifiedLayerNormalization BiasGelu com.microsoft.Gelu FastGelu
  QuickGelu FusedMatMul FusedConv EmbedLayerNormalization Attention:opset23 Attention:opset24`);

/** Types that QuantizeLinear and DequantizeLinear have there. */
const CUDA_TYPES = ['int8', 'uint8', 'int4', 'uint4', 'float8e4m3fn', 'float8e5m2'];

const CUDA = new Set([
  ...[...CUDA_BF16, ...CUDA_FP16].map((op) => `${op}:fp16`),
  ...CUDA_BF16.map((op) => `${op}:bf16`),
  ...CUDA_FLOAT,
  'Resize:linear-fp16',
  'MatMulInteger:s8s8',
  'QAttention:s8s8',
  ...['', '-fp16', '-bf16', '-zero-points', '-level4'].flatMap((v) => [
    `MatMulNBits:4${v}`,
    `MatMulNBits:8${v}`,
  ]),
  ...['', '-fp16', '-bf16', '-zero-points'].flatMap((v) => [
    `GatherBlockQuantized:4${v}`,
    `GatherBlockQuantized:8${v}`,
  ]),
  'MatMulBnb4',
  'MatMulBnb4:fp16',
  ...CUDA_TYPES.flatMap((type) => [
    `QuantizeLinear:${type}`,
    `QuantizeLinear:${type}-fp16`,
    `DequantizeLinear:${type}`,
    `DequantizeLinear:${type}-fp16`,
    `DequantizeLinear:${type}-per-channel`,
  ]),
]);

const WEBGPU_OPS = words(`
  Abs Acos Acosh Add Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Clip Concat Conv
  ConvTranspose Cos Cosh Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gelu
  Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual InstanceNormalization LayerNormalization
  LeakyRelu Less LessOrEqual Log MatMul MaxPool Mul Neg Pad Pow Reciprocal ReduceL1 ReduceL2
  ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
  Reshape Resize Resize:linear Sigmoid Sin Sinh Slice Softmax Split Sqrt Squeeze Sub Tan Tanh
  ThresholdedRelu Tile Transpose Unsqueeze Where`);

const WEBGPU_FUSED = words(`
  com.microsoft.Attention MultiHeadAttention GroupQueryAttention com.microsoft.RotaryEmbedding
  SkipLayerNormalization SkipSimplifiedLayerNormalization SimplifiedLayerNormalization
  com.microsoft.Gelu FastGelu QuickGelu FusedConv`);

const half = (op) => (op.includes(':') ? `${op}-fp16` : `${op}:fp16`);

const WEBGPU = new Set([
  ...[...WEBGPU_OPS, ...WEBGPU_FUSED].map(half),
  ...WEBGPU_FUSED,
  ...['', '-fp16', '-zero-points', '-level4'].flatMap((v) => [
    `MatMulNBits:4${v}`,
    `MatMulNBits:8${v}`,
  ]),
  ...['', '-fp16', '-zero-points'].map((v) => `GatherBlockQuantized:4${v}`),
  ...['int8', 'uint8', 'int4', 'uint4'].flatMap((type) =>
    ['', '-fp16', '-per-channel', '-blocked'].map((v) => `DequantizeLinear:${type}${v}`),
  ),
]);

const NOTES = {
  cuda: {
    'QMoE:4': 'float16 and bfloat16 only',
    'QMoE:8': 'float16 and bfloat16 only',
    GroupQueryAttention: 'float16 and bfloat16 only',
  },
  'web-webgpu': {},
};

/** The part of the table for one target; what loads at all (opset, ir) is the same everywhere. */
export function documented(target, kernels, tried) {
  const known = target === 'cuda' ? CUDA : WEBGPU;
  const entries = kernels.map((kernel) => {
    const isVersion = kernel.startsWith('opset:') || kernel.startsWith('ir:');
    return [kernel, isVersion ? (tried.kernels[kernel] ?? false) : known.has(kernel)];
  });
  const unknown = [...known].filter((kernel) => !kernels.includes(kernel));
  if (unknown.length > 0) throw new Error(`no trial for ${unknown.join(', ')}`);
  return {
    source: 'documentation',
    // Products are added up in 32 bits; there is nothing on WebGPU that would multiply bytes.
    exactProducts: true,
    kernels: Object.fromEntries(entries),
    notes: NOTES[target],
  };
}
