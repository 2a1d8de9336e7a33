// Quantised operators of com.microsoft: QLinear* work on integers with a scale and zero point per
// tensor; the others mix float activations with integer weights.
// Sources: onnxruntime docs/ContribOperators.md and core/graph/contrib_ops/quantization_defs.cc.

import { add, type Dim, mul, product, type Shape, unknownDim } from '../graph/index.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import { columnAxes, convAxes, matmulAxes, resizeConv } from './axes/product.ts';
import { quantizeAxes } from './axes/quant.ts';
import { poolAxes } from './axes/reduce.ts';
import { broadcastAxes, passAxes } from './axes/same.ts';
import { concatAxes } from './axes/slicing.ts';
import type { InferContext } from './context.ts';
import { matmulCost, matmulShape } from './contraction.ts';
import { convCost, convShape } from './conv.ts';
import { broadcast, sameAs } from './elementwise.ts';
import { define, type OpSpec, tensor } from './op.ts';
import { globalPoolShape, inputCost, poolCost, poolShape } from './pool.ts';
import { recurrentCost, recurrentShapes } from './rnn.ts';

const domain = 'com.microsoft';

/** Input 0 with other numbers. */
function activation(op: string): OpSpec {
  const axes: OpSpec['axes'] = (l) => {
    if (op !== 'QLinearSoftmax') passAxes(l);
  };
  return { op, domain, infer: (c) => [sameAs(c, 0)], axes };
}

function both(c: InferContext, first: number, second: number): Shape | undefined {
  const [a, b] = [c.shape(first), c.shape(second)];
  if (!a || !b) return undefined;
  const shape = broadcast(a, b);
  if (!shape) c.fail(`${c.node.op} cannot broadcast [${a.join(', ')}] with [${b.join(', ')}]`);
  return shape;
}

function binary(op: string): OpSpec {
  return {
    op,
    domain,
    infer: (c) => [tensor(c.dtype(0), both(c, 0, 3))],
    axes(l) {
      for (const i of [0, 3]) broadcastAxes(l, i);
    },
  };
}

function isChannelsLast(c: InferContext): boolean {
  return c.node.int('channels_last', 0) === 1;
}

/** Inputs: output scale and zero point, then (tensor, scale, zero point) each. */
function concatenated(c: InferContext): Shape | undefined {
  const shapes: Shape[] = [];
  for (let i = 2; i < c.inputCount; i += 3) {
    const shape = c.shape(i);
    if (!shape) return undefined;
    shapes.push(shape);
  }
  const [first] = shapes;
  if (!first) return undefined;
  const axis = c.axis(c.node.int('axis', 0), first.length);
  const total = sumDims(shapes.map((shape) => shape[axis] ?? unknownDim()));
  return first.map((dim, i) => (i === axis ? total : dim));
}

function quantisedLayout(channelsLast: boolean) {
  return { weight: 3, bias: 8, perChannel: [4, 5], channelsLast };
}

function sumDims(dims: readonly Dim[]): Dim {
  return dims.reduce(add, 0);
}

function reduced(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  const axes = c.node.ints('axes')?.map((axis) => c.axis(axis, x.length)) ?? x.map((_, i) => i);
  if (c.node.int('keepdims', 1) === 1) return x.map((dim, i) => (axes.includes(i) ? 1 : dim));
  return x.filter((_, i) => !axes.includes(i));
}

/** A' [M, K] B' [K, N], each possibly stored transposed. */
export function gemmShape(c: InferContext, b: number): Shape | undefined {
  const [left, right] = [c.shape(0), c.shape(b)];
  const rows = left?.[c.node.int('transA', 0)];
  const columns = right?.[1 - c.node.int('transB', 0)];
  if (rows === undefined && columns === undefined) return undefined;
  return [rows ?? unknownDim(), columns ?? unknownDim()];
}

export function gemmCost(c: InferContext): Dim | undefined {
  const { shape } = c.node.output;
  const inner = c.shape(0)?.[1 - c.node.int('transA', 0)];
  return shape && inner !== undefined ? mul(product(shape), inner) : undefined;
}

/** A [.., K] with a packed weight of K rows and N columns, sizes in the attributes. */
function packedMatmul(op: string): OpSpec {
  return {
    op,
    domain,
    infer(c) {
      const a = c.shape(0);
      const columns = c.node.int('N');
      const last = a?.at(-1);
      const rows = c.node.int('K');
      if (typeof last === 'number' && rows !== undefined && last !== rows) {
        c.fail(`${op} has a weight of ${rows} rows, but its input has ${last} columns`);
      }
      return [tensor(c.dtype(0), a && [...a.slice(0, -1), columns ?? unknownDim()])];
    },
    cost: (c) => matmulCost(c, c.shape(0)),
  };
}

/** Rows (or others) picked from a blockwise quantised table; bytes hold 8 / bits elements. */
function gatheredShape(c: InferContext): Shape | undefined {
  const [data, indices] = [c.shape(0), c.shape(1)];
  if (!data || !indices) return undefined;
  const perElement = c.dtype(0) === 'uint8' ? 8 / c.node.int('bits', 4) : 1;
  const axis = c.axis(c.node.int('gather_axis', 0), data.length);
  const unpacked = data.map((dim, i) => (i === data.length - 1 ? mul(dim, perElement) : dim));
  return [...unpacked.slice(0, axis), ...indices, ...unpacked.slice(axis + 1)];
}

/** The older QuantizeLinear: the type of the zero point, uint8 without one. */
const quantise: OpSpec = {
  op: 'QuantizeLinear',
  domain,
  infer: (c) => [tensor(c.has(2) ? c.dtype(2) : outputType(c, 'uint8'), c.shape(0))],
  axes: quantizeAxes,
};

function outputType(c: InferContext, otherwise: DType): DType {
  return dtypeOf(c.node.int('output_dtype', 0)) ?? otherwise;
}

define(
  binary('QLinearAdd'),
  binary('QLinearMul'),
  activation('QLinearLeakyRelu'),
  activation('QLinearSigmoid'),
  activation('QLinearSoftmax'),
  {
    op: 'QLinearWhere',
    domain,
    infer(c) {
      const values = both(c, 1, 4);
      const condition = c.shape(0);
      const shape = values && condition && broadcast(condition, values);
      return [tensor(c.dtype(1), shape)];
    },
  },
  {
    op: 'QLinearAveragePool',
    domain,
    infer: (c) => [tensor(c.dtype(0), poolShape(c, isChannelsLast(c)))],
    cost: poolCost,
    axes: (l) => poolAxes(isChannelsLast(l.c))(l),
  },
  {
    op: 'QLinearGlobalAveragePool',
    domain,
    infer: (c) => [tensor(c.dtype(0), globalPoolShape(c.shape(0), isChannelsLast(c)))],
    cost: inputCost,
    axes: (l) => poolAxes(isChannelsLast(l.c))(l),
  },
  {
    op: 'QLinearConcat',
    domain,
    infer: (c) => [tensor(c.dtype(1), concatenated(c))],
    axes: (l) => concatAxes(l, { first: 2, stride: 3 }),
  },
  {
    op: 'QLinearReduceMean',
    domain,
    infer: (c) => [tensor(c.dtype(0), reduced(c))],
    cost: inputCost,
  },
  {
    op: 'QLinearConv',
    domain,
    infer: (c) => {
      const layout = { x: 0, w: 3, channelsLast: isChannelsLast(c) };
      return [tensor(c.dtype(7), convShape(c, layout))];
    },
    cost: (c) => convCost(c, 3),
    axes: (l) => convAxes(quantisedLayout(isChannelsLast(l.c)))(l),
    resize: (r) => resizeConv(quantisedLayout(isChannelsLast(r.c)))(r),
  },
  {
    // Without a scale for the result it stays float.
    op: 'QGemm',
    domain,
    infer: (c) => [tensor(c.has(7) ? (c.dtype(8) ?? c.dtype(0)) : 'float32', gemmShape(c, 3))],
    cost: gemmCost,
  },
  {
    op: 'DynamicQuantizeMatMul',
    domain,
    infer: (c) => [tensor(c.dtype(0), matmulShape(c, c.shape(0), c.shape(1)))],
    cost: (c) => matmulCost(c, c.shape(0)),
    axes(l) {
      matmulAxes(l, { exact: false });
      columnAxes(l, [2, 3, 4]);
    },
  },
  {
    op: 'MatMulIntegerToFloat',
    domain,
    infer: (c) => [tensor(c.dtype(2), matmulShape(c, c.shape(0), c.shape(1)))],
    cost: (c) => matmulCost(c, c.shape(0)),
    axes(l) {
      matmulAxes(l);
      columnAxes(l, [3, 5, 6]);
    },
  },
  {
    op: 'MatMulInteger16',
    domain,
    infer(c) {
      const isUnsigned = c.dtype(0) === 'uint16' && c.dtype(1) === 'uint16';
      const shape = matmulShape(c, c.shape(0), c.shape(1));
      return [tensor(isUnsigned ? 'uint32' : 'int32', shape)];
    },
    cost: (c) => matmulCost(c, c.shape(0)),
  },
  {
    op: 'MulInteger',
    domain,
    infer: (c) => [tensor('int32', both(c, 0, 2))],
  },
  {
    op: 'DynamicQuantizeLSTM',
    domain,
    // W and R are stored transposed: [D, I, 4H] and [D, H, 4H].
    infer(c) {
      const { sequence, state } = recurrentShapes(c, 4);
      const results = [sequence, state, state];
      return results.map((shape) => tensor(c.dtype(0), shape));
    },
    cost: (c) => recurrentCost(c, 4, c.has(7) ? 3 : 0),
  },
  packedMatmul('MatMulNBits'),
  packedMatmul('MatMulBnb4'),
  packedMatmul('MatMulFpQ4'),
  { op: 'GatherBlockQuantized', domain, infer: (c) => [tensor(c.dtype(2), gatheredShape(c))] },
  quantise,
  {
    op: 'DequantizeLinear',
    domain,
    infer: (c) => [tensor(c.dtype(1), c.shape(0))],
    axes: quantizeAxes,
  },
  {
    op: 'ReduceSumInteger',
    domain,
    infer(c) {
      const dtype = c.dtype(0) === 'uint8' ? 'uint32' : 'int32';
      return [tensor(dtype, reduced(c))];
    },
    cost: inputCost,
  },
);
