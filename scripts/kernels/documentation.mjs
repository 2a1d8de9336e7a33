// Kernels of CUDA, which cannot be tried where the table is usually made, as onnxruntime documents them
// (docs/OperatorKernels.md). What that does not mention counts as missing: then other kernels are used,
// or the layer stays float.

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

const NOTES = {
  'QMoE:4': 'float16 and bfloat16 only',
  'QMoE:8': 'float16 and bfloat16 only',
  GroupQueryAttention: 'float16 and bfloat16 only',
};

/** CUDA's part of the table; what loads at all (opset, ir) is the same as on the CPU. */
export function documentedCuda(kernels, cpu) {
  const entries = kernels.map((kernel) => {
    const isVersion = kernel.startsWith('opset:') || kernel.startsWith('ir:');
    return [kernel, isVersion ? (cpu.kernels[kernel] ?? false) : CUDA.has(kernel)];
  });
  const unknown = [...CUDA].filter((kernel) => !kernels.includes(kernel));
  if (unknown.length > 0) throw new Error(`no trial for ${unknown.join(', ')}`);
  return {
    source: 'documentation',
    // Products are added up in 32 bits.
    exactProducts: true,
    kernels: Object.fromEntries(entries),
    notes: NOTES,
  };
}
