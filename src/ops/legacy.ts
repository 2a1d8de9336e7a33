// Operators outside of the standard: the experimental ones of opset 1, which onnxruntime still runs,
// the quantisers of Brevitas and QONNX, and the integer operators of Deeploy (arXiv:2408.04413).

import { type Dim, sub } from '../graph/index.ts';
import { elementwiseAxes, passAxes, unaryAxes } from './axes/same.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';

function same(op: string, domain = ''): OpSpec {
  return { op, domain, infer: (c: InferContext): Inferred[] => [tensor(c.dtype(0), c.shape(0))] };
}

/** Cuts `border` (left, top, right, bottom) off, then to `scale` (height, width) where given. */
function cropped(c: InferContext): Dim[] | undefined {
  const x = c.shape(0);
  if (x?.length !== 4) return undefined;
  const [left = 0, top = 0, right = 0, bottom = 0] = c.node.ints('border') ?? [];
  const [height, width] = c.node.ints('scale') ?? [];
  return [
    x[0] as Dim,
    x[1] as Dim,
    height ?? sub(x[2] as Dim, top + bottom),
    width ?? sub(x[3] as Dim, left + right),
  ];
}

/** Quant: fake quantisation in floats (github.com/fastmachinelearning/qonnx). */
const QUANTISERS = ['Quant', 'BipolarQuant', 'Trunc', 'IntQuant', 'FloatQuant'];

/** They keep the shape of input 0. */
const DEEPLOY = ['RequantShift', 'iRMSNorm', 'iSoftmax', 'iHardswish', 'TrueIntegerDiv'];

define(
  { ...same('Affine'), axes: unaryAxes },
  same('ImageScaler'),
  same('ParametricSoftplus'),
  same('ScaledTanh'),
  {
    op: 'Crop',
    infer: (c) => [tensor(c.dtype(0), cropped(c))],
    axes: (l) => passAxes(l, { except: [2, 3] }),
  },
  ...DEEPLOY.map((op) => same(op)),
  ...['onnx.brevitas', 'qonnx.custom_op.general'].flatMap((domain) =>
    QUANTISERS.map((op) => ({ ...same(op, domain), axes: elementwiseAxes })),
  ),
);
