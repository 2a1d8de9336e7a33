// Operators in the form that older and the newest opsets give them: attributes where there are inputs
// now, broadcasting on request. Expected types: what the ONNX project's own inference (onnx 1.23,
// shape_inference.infer_shapes) gives, or where that has no rule, marked *, the operator's text in
// Changelog.md; onnxruntime runs few of these opsets.

import { describe, expect, test } from '@jest/globals';
import { type AttrLike, printType } from '../../src/graph/index.ts';
import { type Case, constant, fed, float, type Input, inferCase } from './one-node.ts';

type Row = readonly [
  op: string,
  opset: number,
  inputs: readonly Input[],
  attrs: NonNullable<Case['attrs']> | Readonly<Record<string, AttrLike>>,
  ...outputs: string[],
];

const list = (...values: number[]) => constant('int64', [values.length], ...values);
const one = (value: number) => constant('int64', [], value);

const ROWS: readonly Row[] = [
  ['Reshape', 1, [float(2, 3, 4)], { shape: [0, -1] }, 'float32 [2, 12]'], // *
  ['Reshape', 5, [float(2, 3, 4), list(0, 2, -1)], {}, 'float32 [2, 2, 6]'],
  ['Squeeze', 1, [float(1, 3, 1)], { axes: [0] }, 'float32 [3, 1]'],
  ['Squeeze', 1, [float(1, 3, 1)], {}, 'float32 [3]'], // *
  ['Squeeze', 11, [float(1, 3, 1)], { axes: [-1] }, 'float32 [1, 3]'],
  ['Unsqueeze', 1, [float(3)], { axes: [0, 2] }, 'float32 [1, 3, 1]'],
  ['Slice', 1, [float(5, 6)], { starts: [1, -3], ends: [1000, -1] }, 'float32 [4, 2]'],
  ['Slice', 1, [float(5, 6)], { starts: [-2], ends: [5], axes: [1] }, 'float32 [5, 1]'],
  ['Pad', 1, [float(2, 3)], { paddings: [0, 1, 2, 3] }, 'float32 [4, 7]'], // *
  ['Pad', 2, [float(2, 3)], { pads: [0, 1, 2, -1] }, 'float32 [4, 3]'],
  ['Split', 1, [float(2, 6)], { axis: 1 }, 'float32 [2, 2]', 'float32 [2, 2]', 'float32 [2, 2]'], // *
  ['Split', 1, [float(2, 6), list(1, 5)], { axis: 1 }, 'float32 [2, 1]', 'float32 [2, 5]'], // *
  ['Split', 2, [float(2, 6)], { axis: 1, split: [1, 5] }, 'float32 [2, 1]', 'float32 [2, 5]'],
  ['Concat', 1, [float(2, 3), float(2, 4)], {}, 'float32 [2, 7]'], // *
  ['Concat', 4, [float(2, 3), float(4, 3)], { axis: 0 }, 'float32 [6, 3]'],
  ['Tile', 1, [float(2, 3), one(4), one(1)], {}, 'float32 [2, 12]'], // *
  ['Tile', 6, [float(2, 3), list(2, 3)], {}, 'float32 [4, 9]'],
  ['TopK', 1, [float(2, 6)], { k: 3, axis: 1 }, 'float32 [2, 3]', 'int64 [2, 3]'],
  ['Clip', 6, [float(2, 3)], { min: 0, max: 1 }, 'float32 [2, 3]'],
  ['ReduceSum', 1, [float(2, 3, 4)], { axes: [1], keepdims: 0 }, 'float32 [2, 4]'],
  ['ReduceSum', 11, [float(2, 3, 4)], { axes: [-1] }, 'float32 [2, 3, 1]'],
  ['ReduceMax', 1, [float(2, 3, 4)], {}, 'float32 [1, 1, 1]'],
  ['ReduceLogSum', 13, [float(2, 3)], { axes: [0] }, 'float32 [1, 3]'],
  ['ArgMax', 1, [float(2, 3, 4)], { axis: 1, keepdims: 0 }, 'int64 [2, 4]'],
  ['Cast', 1, [float(2)], { to: 'INT64' }, 'int64 [2]'], // *
  ['Cast', 1, [float(2)], { to: 'FLOAT16' }, 'float16 [2]'], // *
  ['Cast', 6, [float(2)], { to: 11 }, 'float64 [2]'],
  ['Add', 1, [float(2, 3, 4), float(3)], { broadcast: 1, axis: 1 }, 'float32 [2, 3, 4]'], // *
  ['Mul', 6, [float(2, 3, 4), float(4)], { broadcast: 1 }, 'float32 [2, 3, 4]'],
  ['Add', 7, [float(3, 1), float(4)], {}, 'float32 [3, 4]'],
  ['Greater', 1, [float(2, 3), float(3)], { broadcast: 1 }, 'bool [2, 3]'],
  ['Pow', 1, [float(2, 3), float(3)], { broadcast: 1 }, 'float32 [2, 3]'],
  ['Sum', 6, [float(2, 3), float(2, 3)], {}, 'float32 [2, 3]'],
  ['Max', 8, [float(2, 1), float(3)], {}, 'float32 [2, 3]'],
  [
    'Gemm',
    6,
    [float(3, 2), float(4, 3), float(4)],
    { transA: 1, transB: 1, broadcast: 1 },
    'float32 [2, 4]',
  ],
  ['Gemm', 7, [float(2, 3), float(3, 4), float(4)], {}, 'float32 [2, 4]'],
  ['Flatten', 1, [float(2, 3, 4)], { axis: 2 }, 'float32 [6, 4]'],
  ['Gather', 1, [float(5, 6), fed('int64', 2, 2)], { axis: 1 }, 'float32 [5, 2, 2]'],
  ['Transpose', 1, [float(2, 3, 4)], {}, 'float32 [4, 3, 2]'],
  ['PRelu', 6, [float(2, 3, 4), float(1)], {}, 'float32 [2, 3, 4]'],
  ['Softmax', 1, [float(2, 3)], { axis: 1 }, 'float32 [2, 3]'],
  ['DepthToSpace', 1, [float(1, 8, 2, 3)], { blocksize: 2 }, 'float32 [1, 2, 4, 6]'],
  ['SpaceToDepth', 1, [float(1, 2, 4, 6)], { blocksize: 2 }, 'float32 [1, 8, 2, 3]'],
  ['Expand', 8, [float(3, 1), list(2, 1, 6)], {}, 'float32 [2, 3, 6]'],
  ['ConstantOfShape', 9, [list(2, 3)], {}, 'float32 [2, 3]'],
  ['Scatter', 9, [float(3, 3), fed('int64', 2, 3), float(2, 3)], {}, 'float32 [3, 3]'],
  ['Compress', 9, [float(3, 2), constant('bool', [3], 0, 1, 1)], { axis: 0 }, 'float32 [2, 2]'], // *
  ['EyeLike', 9, [float(3, 4)], { dtype: 7 }, 'int64 [3, 4]'],
  ['BitShift', 11, [fed('uint8', 2, 3), fed('uint8', 3)], { direction: 'LEFT' }, 'uint8 [2, 3]'],
  ['TensorScatter', 24, [float(2, 4, 5), float(2, 1, 5)], {}, 'float32 [2, 4, 5]'],
  ['Swish', 24, [float(2, 3)], {}, 'float32 [2, 3]'],
  ['CumProd', 26, [float(2, 3), one(1)], {}, 'float32 [2, 3]'],
  ['BitCast', 26, [float(2, 3)], { to: 6 }, 'int32 [2, 3]'],
];

describe('operators of other opsets', () => {
  test.each(ROWS.map((row) => [`${row[0]}-${row[1]}`, row] as const))('%s', (_, row) => {
    const [op, opset, inputs, attrs, ...expected] = row;
    const outputs = expected.map(() => true);
    const { problems, types } = inferCase({ op, opset, inputs, attrs, outputs });
    expect(problems).toEqual([]);
    expect(expected.map((__, i) => printType(types.get(`y${i}`)))).toEqual(expected);
  });
});
