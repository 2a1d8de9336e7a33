// The other operators of com.microsoft: fused convolutions and products, older variants of standard
// operators, text generation.
// Sources: onnxruntime docs/ContribOperators.md and core/graph/contrib_ops/contrib_defs.cc.

import { add, type Dim, floorDiv, mul, type Shape, sub, unknownDim } from '../graph/index.ts';
import { convAxes, fusedConvAxes, gemmAxes, matmulAxes, resizeConv } from './axes/product.ts';
import { channelAxes } from './axes/same.ts';
import type { InferContext } from './context.ts';
import { matmulCost, matmulShape } from './contraction.ts';
import { gemmCost, gemmShape } from './contrib-quant.ts';
import { convCost, convShape, transposedCost, transposedShape } from './conv.ts';
import { define, type OpSpec, tensor } from './op.ts';
import { poolCost, poolShape } from './pool.ts';
import { blendCost, gridSampleShape } from './resize.ts';
import { unknownDims } from './window.ts';

const domain = 'com.microsoft';

function convolution(op: string, channelsLast: boolean): OpSpec {
  return {
    op,
    domain,
    infer: (c) => [tensor(c.dtype(0), convShape(c, { x: 0, w: 1, channelsLast }))],
    cost: (c) => convCost(c, 1),
    axes: channelsLast ? convAxes({ channelsLast }) : fusedConvAxes,
    resize: resizeConv({ channelsLast }),
  };
}

/** The last two axes swapped, or the batch put between them (transBatch), before the product. */
function arranged(shape: Shape | undefined, isSwapped: boolean, isBatched: boolean) {
  if (!shape || shape.length < 2) return shape;
  let dims = [...shape];
  // [M, batch …, K] → [batch …, M, K]
  if (isBatched) dims = [...dims.slice(1, -1), dims[0] as Dim, dims.at(-1) as Dim];
  if (!isSwapped) return dims;
  return [...dims.slice(0, -2), dims.at(-1) as Dim, dims.at(-2) as Dim];
}

function operandShape(c: InferContext, index: number): Shape | undefined {
  const name = index === 0 ? 'A' : 'B';
  const isBatched = c.node.int(`transBatch${name}`, 0) === 1;
  return arranged(c.shape(index), c.node.int(`trans${name}`, 0) === 1, isBatched);
}

function transposableMatmul(op: string): OpSpec {
  return {
    op,
    domain,
    infer: (c) => [tensor(c.dtype(0), matmulShape(c, operandShape(c, 0), operandShape(c, 1)))],
    cost: (c) => matmulCost(c, operandShape(c, 0)),
    axes(l) {
      const is = (name: string) => l.c.node.int(name, 0) === 1;
      if (is('transBatchA') || is('transBatchB')) return;
      matmulAxes(l, { transA: is('transA'), transB: is('transB') });
    },
  };
}

/** Elements counted from start to limit; the step is 1 unless given. */
function rangeLength(c: InferContext): Dim {
  const [start, limit] = [c.known(0)?.[0], c.known(1)?.[0]];
  const step = c.has(2) ? c.known(2)?.[0] : 1;
  if (start === undefined || limit === undefined) return unknownDim();
  const span = sub(limit, start);
  if (step === 1) return span;
  if (typeof span !== 'number' || typeof step !== 'number' || step === 0) return unknownDim();
  return Math.max(0, Math.ceil(span / step));
}

function paddedShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const pads = c.known(1);
  if (!x || !pads) return x?.map(unknownDim);
  return x.map((dim, i) => {
    return add(dim, add(pads[i] ?? unknownDim(), pads[i + x.length] ?? unknownDim()));
  });
}

function expandedShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const axis = c.knownNumbers(1)?.[0];
  if (!x || axis === undefined) return x && unknownDims(x.length + 1);
  const at = c.axis(axis, x.length + 1);
  return [...x.slice(0, at), 1, ...x.slice(at)];
}

/** Sequences of token ids; input 0 holds the prompts, input 1 the greatest length. */
function generated(op: string, perBatch: (c: InferContext) => Dim[]): OpSpec {
  return {
    op,
    domain,
    infer(c) {
      const batch = c.shape(0)?.[0] ?? unknownDim();
      const length = c.known(1)?.[0] ?? unknownDim();
      return [tensor('int32', [batch, ...perBatch(c), length])];
    },
    cost: () => undefined,
    pure: false,
  };
}

function spectrumShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const last = x?.at(-1);
  if (!x || last === undefined) return undefined;
  if (c.node.op === 'Rfft') return [...x.slice(0, -1), add(floorDiv(last, 2), 1), 2];
  return [...x.slice(0, -2), mul(sub(x.at(-2) ?? unknownDim(), 1), 2)];
}

const beams = (c: InferContext) => [c.known(4)?.[0] ?? unknownDim()];

define(
  convolution('FusedConv', false),
  convolution('NhwcConv', true),
  convolution('NhwcFusedConv', true),
  {
    op: 'ConvTransposeWithDynamicPads',
    domain,
    infer: (c) => {
      const shape = transposedShape(c);
      // Input 2 replaces the pads.
      return [
        tensor(c.dtype(0), c.has(2) ? shape?.map((d, i) => (i < 2 ? d : unknownDim())) : shape),
      ];
    },
    cost: transposedCost,
  },
  {
    op: 'NhwcMaxPool',
    domain,
    infer: (c) => [tensor(c.dtype(0), poolShape(c, true))],
    cost: poolCost,
  },
  {
    op: 'MaxpoolWithMask',
    domain,
    infer: (c) => [tensor(c.dtype(0), poolShape(c))],
    cost: poolCost,
  },
  transposableMatmul('FusedMatMul'),
  transposableMatmul('TransposeMatMul'),
  transposableMatmul('FusedMatMulActivation'),
  {
    op: 'FusedGemm',
    domain,
    infer: (c) => [tensor(c.dtype(0), gemmShape(c, 1))],
    cost: gemmCost,
    axes: (l) => gemmAxes(l),
  },
  {
    op: 'GemmFastGelu',
    domain,
    infer: (c) => [tensor(c.dtype(0), matmulShape(c, c.shape(0), c.shape(1)))],
    cost: (c) => matmulCost(c, c.shape(0)),
  },
  {
    op: 'SparseToDenseMatMul',
    domain,
    infer(c) {
      const a = c.type(0);
      const left = a?.kind === 'sparse' ? a.shape : c.shape(0);
      const isSwapped = c.node.int('transA', 0) === 1;
      const shape = matmulShape(c, arranged(left, isSwapped, false), operandShape(c, 1));
      return [tensor(c.dtype(1), shape)];
    },
  },
  {
    op: 'GridSample',
    domain,
    infer: (c) => [tensor(c.dtype(0), gridSampleShape(c))],
    cost: blendCost,
    axes: channelAxes,
  },
  {
    // X [N, C, H, W], rois [R, 4] → [R, C, crop height, crop width]
    op: 'CropAndResize',
    domain,
    infer(c) {
      const size = c.known(3) ?? unknownDims(2);
      const regions = c.shape(1)?.[0] ?? unknownDim();
      return [tensor(c.dtype(0), [regions, c.shape(0)?.[1] ?? unknownDim(), ...size])];
    },
  },
  { op: 'ExpandDims', domain, infer: (c) => [tensor(c.dtype(0), expandedShape(c))], cost: () => 0 },
  { op: 'Range', domain, infer: (c) => [tensor(c.dtype(0), [rangeLength(c)])] },
  { op: 'Pad', domain, infer: (c) => [tensor(c.dtype(0), paddedShape(c))] },
  {
    // The distinct elements, where each element of x is among them, and how often each occurs.
    op: 'Unique',
    domain,
    infer(c) {
      const count = unknownDim();
      return [tensor(c.dtype(0), [count]), tensor('int64', c.shape(0)), tensor('int64', [count])];
    },
  },
  {
    // Words of characters [W, L], filters [F, 1, k, E] → [W, F]
    op: 'WordConvEmbedding',
    domain,
    infer(c) {
      const words = c.shape(0);
      const filters = c.shape(1)?.[0] ?? unknownDim();
      return [tensor('float32', words && [...words.slice(0, -1), filters])];
    },
  },
  {
    op: 'MurmurHash3',
    domain,
    infer(c) {
      return [tensor(c.node.int('positive', 1) === 1 ? 'uint32' : 'int32', c.shape(0))];
    },
  },
  {
    // table [V, D], ids [..] → [.., D]
    op: 'TorchEmbedding',
    domain,
    infer(c) {
      const ids = c.shape(1);
      return [tensor(c.dtype(0), ids && [...ids, c.shape(0)?.[1] ?? unknownDim()])];
    },
  },
  {
    // Distances of [M, D] and [N, D] → [M, N]
    op: 'CDist',
    domain,
    infer(c) {
      const [a, b] = [c.shape(0)?.[0], c.shape(1)?.[0]];
      return [tensor(c.dtype(0), [a ?? unknownDim(), b ?? unknownDim()])];
    },
    cost: (c) => matmulCost(c, c.shape(0)),
  },
  {
    // indices [.., r] into data: [.., data axes from r on]
    op: 'GatherND',
    domain,
    infer(c) {
      const [data, indices] = [c.shape(0), c.shape(1)];
      const reach = indices?.at(-1);
      if (!data || !indices || typeof reach !== 'number') return [tensor(c.dtype(0), undefined)];
      return [tensor(c.dtype(0), [...indices.slice(0, -1), ...data.slice(reach)])];
    },
  },
  { op: 'Rfft', domain, infer: (c) => [tensor(c.dtype(0), spectrumShape(c))] },
  { op: 'Irfft', domain, infer: (c) => [tensor(c.dtype(0), spectrumShape(c))] },
  { op: 'IsAllFinite', domain, infer: () => [tensor('bool', [])] },
  generated('BeamSearch', beams),
  generated('WhisperBeamSearch', beams),
  generated('GreedySearch', () => []),
  generated('Sampling', () => []),
);
