// Small graphs for convolutions, matrix products, pooling and sampling.

import type { Value } from '../../../src/graph/index.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { image, ms, type OpCase, project, read, tokens } from './op-cases.ts';

const products: OpCase[] = [
  {
    name: 'Conv, grouped: the same channels of each group',
    units: [3, 4],
    build(s) {
      const x = image(s, 8);
      return read(s, s.g.op('Conv', [x, s.weight([6, 4, 3, 3]), s.weight([6])], { group: 2 }));
    },
  },
  {
    name: 'Conv, grouped: whole groups',
    units: [6],
    build(s) {
      const x = image(s, 12);
      return read(s, s.g.op('Conv', [x, s.weight([18, 2, 3, 3]), s.weight([18])], { group: 6 }));
    },
  },
  {
    name: 'Conv, depthwise with two results each',
    units: [8],
    build: (s) => read(s, s.g.op('Conv', [image(s), s.weight([16, 1, 3, 3])], { group: 8 })),
  },
  {
    name: 'Conv of one and of three spatial axes',
    units: [4, 8],
    build(s) {
      const flat = s.g.op('Conv', [s.input('x', [1, 3, 9]), s.weight([8, 3, 3]), s.weight([8])]);
      const a = s.g.op('Conv', [flat, s.weight([2, 8, 1])]);
      const solid = s.g.op('Conv', [s.input('y', [1, 2, 4, 4, 4]), s.weight([4, 2, 3, 3, 3])]);
      return [a, s.g.op('Conv', [solid, s.weight([2, 4, 1, 1, 1])])];
    },
  },
  {
    name: 'ConvTranspose',
    units: [5, 8],
    build: (s) =>
      read(s, s.g.op('ConvTranspose', [image(s), s.weight([8, 5, 2, 2]), s.weight([5])])),
  },
  {
    name: 'ConvTranspose, grouped: the same channels of each group',
    units: [3, 4],
    build: (s) =>
      read(
        s,
        s.g.op('ConvTranspose', [image(s), s.weight([8, 3, 2, 2]), s.weight([6])], { group: 2 }),
      ),
  },
  {
    name: 'ConvTranspose, depthwise',
    units: [8],
    build: (s) =>
      read(s, s.g.op('ConvTranspose', [image(s), s.weight([8, 1, 2, 2])], { group: 8 })),
  },
  ...[0, 1]
    .flatMap((transA) =>
      [0, 1].map(
        (transB): OpCase => ({
          name: `Gemm with transA ${transA} and transB ${transB}`,
          units: [6, 8],
          build(s) {
            const x = tokens(s, 8, [2]);
            const a = transA ? s.g.op('Transpose', [x], { perm: [1, 0] }) : x;
            const b = s.weight(transB ? [6, 8] : [8, 6]);
            const y = s.g.op('Gemm', [a, b, s.weight([6])], { transA, transB });
            return project(s, s.g.op('Gemm', [y, s.weight([6, 6]), s.weight([1, 6])]));
          },
        }),
      ),
    )
    .map((row): OpCase => ({ ...row, units: [6, 6, 8] })),
  {
    name: 'MatMul with the weight on the left',
    units: [7, 8],
    build(s) {
      const x = s.g.op('MatMul', [s.weight([8, 5]), s.input('x', [5, 4])]);
      const y = s.g.op('MatMul', [s.weight([7, 8]), s.g.op('Relu', [x])]);
      return s.g.op('MatMul', [s.weight([3, 7]), y]);
    },
  },
  {
    name: 'MatMul of two computed values: the summed axis',
    units: [8],
    build(s) {
      const [a, b] = [tokens(s, 8, [2, 4]), tokens(s, 8, [2, 4], 'y')];
      return s.g.op('MatMul', [a, s.g.op('Transpose', [b], { perm: [0, 2, 1] })]);
    },
  },
  {
    name: 'MatMul with a vector',
    units: [8],
    build: (s) => s.g.op('MatMul', [tokens(s), s.weight([8])]),
  },
  {
    name: 'Einsum',
    units: [6, 8],
    build(s) {
      const y = s.g.op('Einsum', [tokens(s), s.weight([8, 6])], { equation: 'bsc,cd->bsd' });
      return s.g.op('Einsum', [y, s.weight([6])], { equation: 'bsd,d->bs' });
    },
  },
  {
    name: 'FusedConv with an addend',
    units: [6, 8],
    build(s) {
      const x = image(s);
      const addend = s.g.op('Conv', [x, s.weight([6, 8, 1, 1])]);
      const inputs = [x, s.weight([6, 8, 1, 1]), s.weight([6]), addend];
      return read(s, s.g.op('FusedConv', inputs, { activation: 'Relu' }, ms));
    },
  },
  ...['FusedMatMul', 'TransposeMatMul'].map(
    (op): OpCase => ({
      name: op,
      units: [6, 8],
      build(s) {
        const y = s.g.op(op, [tokens(s), s.weight([6, 8])], { transB: 1 }, ms);
        return project(s, y);
      },
    }),
  ),
  {
    name: 'FusedGemm',
    units: [6, 8],
    build(s) {
      const inputs = [tokens(s, 8, [2]), s.weight([8, 6]), s.weight([6])];
      return project(s, s.g.op('FusedGemm', inputs, { activation: 'Relu' }, ms));
    },
  },
];

const pooling: OpCase[] = [
  ...['MaxPool', 'AveragePool', 'LpPool'].map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build: (s) => read(s, s.g.op(op, [image(s)], { kernel_shape: [2, 2] })),
    }),
  ),
  ...['GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool'].map(
    (op): OpCase => ({ name: op, units: [8], build: (s) => read(s, s.g.op(op, [image(s)])) }),
  ),
  {
    name: 'MaxPool with indices that are read',
    units: [],
    build(s) {
      const [y, indices] = s.g.ops('MaxPool', [image(s)], 2, { kernel_shape: [2, 2] });
      return [read(s, y as Value), s.g.op('Identity', [indices])];
    },
  },
  {
    name: 'MaxRoiPool',
    units: [8],
    build(s) {
      const regions = s.g.constant('rois', Tensor.of('float32', [1, 5], [0, 0, 0, 4, 4]));
      return read(s, s.g.op('MaxRoiPool', [image(s), regions], { pooled_shape: [2, 2] }));
    },
  },
  {
    name: 'RoiAlign',
    units: [8],
    build(s) {
      const regions = s.g.constant('rois', Tensor.of('float32', [1, 4], [0, 0, 4, 4]));
      return read(
        s,
        s.g.op('RoiAlign', [image(s), regions, s.ints(0)], { output_height: 2, output_width: 2 }),
      );
    },
  },
  {
    name: 'Resize with scales, then with sizes of all axes',
    units: [8],
    build(s) {
      const scales = s.g.constant('scales', Tensor.of('float32', [4], [1, 1, 2, 2]));
      const y = s.g.op('Resize', [image(s), undefined, scales]);
      return read(s, s.g.op('Resize', [y, undefined, undefined, s.ints(1, 8, 5, 5)]));
    },
  },
  {
    name: 'Upsample',
    opset: 9,
    units: [8],
    build(s) {
      const scales = s.g.constant('scales', Tensor.of('float32', [4], [1, 1, 2, 2]));
      return read(s, s.g.op('Upsample', [image(s), scales]));
    },
  },
  {
    name: 'GridSample',
    units: [8],
    build: (s) => read(s, s.g.op('GridSample', [image(s), s.weight([1, 4, 4, 2])])),
  },
  {
    name: 'GridSample of com.microsoft',
    units: [8],
    build: (s) => read(s, s.g.op('GridSample', [image(s), s.weight([1, 4, 4, 2])], {}, ms)),
  },
];

export const PRODUCT_CASES: readonly OpCase[] = [...products, ...pooling];
