// Small graphs for operators that move, join, cut, normalise, recur or attend.

import type { Value } from '../../../src/graph/index.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import type { Sketch } from '../../helpers/rewriting.ts';
import { cast, image, type OpCase, project, read, tokens } from './op-cases.ts';

const moving: OpCase[] = [
  {
    name: 'Concat of two makers',
    units: [4, 8],
    build(s) {
      const other = s.g.op('Conv', [s.input('z', [1, 3, 6, 6]), s.weight([4, 3, 1, 1])]);
      return read(s, s.g.op('Concat', [image(s), other], { axis: 1 }), 12);
    },
  },
  {
    name: 'Concat with an input of the graph: only the other part',
    units: [8],
    build: (s) =>
      read(s, s.g.op('Concat', [s.input('z', [1, 2, 6, 6]), image(s)], { axis: 1 }), 10),
  },
  {
    name: 'Concat of a value with itself',
    units: [8],
    build(s) {
      const x = image(s);
      return read(s, s.g.op('Concat', [x, s.g.op('Relu', [x])], { axis: -3 }), 16);
    },
  },
  {
    name: 'Split with sizes, of which each part is read',
    units: [3, 5],
    build(s) {
      const [a, b] = s.g.ops('Split', [image(s), s.ints(3, 5)], 2, { axis: 1 });
      return [read(s, a as Value, 3), read(s, b as Value, 5)];
    },
  },
  {
    name: 'Split into equal parts that meet again',
    units: [4],
    build(s) {
      const [a, b] = s.g.ops('Split', [image(s)], 2, { axis: 1, num_outputs: 2 });
      return read(s, s.g.op('Mul', [a, s.g.op('Sigmoid', [b])]), 4);
    },
  },
  {
    name: 'Split of opset 11',
    opset: 11,
    units: [3, 5],
    build(s) {
      const [a, b] = s.g.ops('Split', [image(s)], 2, { axis: 1, split: [3, 5] });
      return [read(s, a as Value, 3), read(s, b as Value, 5)];
    },
  },
  {
    name: 'Slice: the part that is read and the part that is not',
    units: [3, 5],
    build(s) {
      const x = image(s);
      const part = s.g.op('Slice', [x, s.ints(2), s.ints(7), s.ints(1)]);
      return [read(s, part, 5), read(s, x)];
    },
  },
  {
    name: 'Slice backwards, and to the end',
    units: [3, 5],
    build(s) {
      const x = image(s);
      const back = s.g.op('Slice', [x, s.ints(-1), s.ints(-100), s.ints(1), s.ints(-1)]);
      const part = s.g.op('Slice', [x, s.ints(3), s.ints(1e9), s.ints(1)]);
      return [read(s, back, 8), read(s, part, 5)];
    },
  },
  {
    name: 'Slice with attributes',
    opset: 9,
    units: [3, 5],
    build(s) {
      const part = s.g.op('Slice', [image(s)], { starts: [3], ends: [8], axes: [1] });
      return [
        read(s, part, 5),
        read(s, s.g.op('Slice', [imageAgain(s)], { starts: [0], ends: [3], axes: [1] }), 3),
      ];
    },
  },
  {
    name: 'Slice with steps',
    units: [],
    build(s) {
      const part = s.g.op('Slice', [image(s), s.ints(0), s.ints(8), s.ints(1), s.ints(2)]);
      return read(s, part, 4);
    },
  },
  {
    name: 'Pad: channels that are there and channels of zeros',
    units: [5, 8],
    build: (s) => read(s, s.g.op('Pad', [image(s), s.ints(0, 2, 1, 1, 0, 3, 1, 1)]), 13),
  },
  {
    name: 'Pad of opset 2, which reflects around the image',
    opset: 9,
    units: [8],
    build: (s) =>
      read(s, s.g.op('Pad', [image(s)], { pads: [0, 0, 1, 1, 0, 0, 1, 1], mode: 'reflect' })),
  },
  {
    name: 'Gather of picked channels',
    units: [3, 4],
    build(s) {
      const x = image(s, 7);
      const picked = s.g.op('Gather', [x, s.ints(6, 0, 2, -3)], { axis: 1 });
      return [read(s, picked, 4), read(s, x, 7)];
    },
  },
  {
    name: 'Gather of one position of another axis',
    units: [8],
    build(s) {
      const index = s.g.constant('index', Tensor.scalar('int64', 2));
      return project(s, s.g.op('Gather', [tokens(s), index], { axis: 1 }));
    },
  },
  {
    name: 'GatherND and ScatterND on the axes before',
    units: [8],
    build(s) {
      const x = tokens(s);
      const places = s.g.constant('places', Tensor.of('int64', [2, 2], [0, 1, 1, 3]));
      const picked = s.g.op('GatherND', [x, places]);
      const put = s.g.op('ScatterND', [x, places, s.g.op('Sigmoid', [picked])]);
      return project(s, put);
    },
  },
  {
    name: 'Gather from an embedding, tied to the last product',
    units: [8],
    build(s) {
      const table = s.weight([10, 8]);
      const ids = s.input('ids', [2, 4], 'int64');
      s.feeds.set('ids', Tensor.of('int64', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]));
      const x = s.g.op('Relu', [s.g.op('Gather', [table, ids])]);
      return s.g.op('MatMul', [x, s.g.op('Transpose', [table], { perm: [1, 0] })]);
    },
  },
  {
    name: 'Flatten: a channel is a block of positions',
    units: [8],
    build: (s) => project(s, s.g.op('Flatten', [image(s, 8, 3)]), 72),
  },
  {
    name: 'Reshape to heads and back, targets with 0 and -1',
    units: [4],
    build(s) {
      const split = s.g.op('Reshape', [tokens(s, 12), s.ints(0, -1, 4, 3)]);
      const turned = s.g.op('Transpose', [split], { perm: [0, 2, 1, 3] });
      const scores = s.g.op('Softmax', [s.g.op('MatMul', [turned, turned3(s, 12)])]);
      const mixed = s.g.op('MatMul', [scores, turned]);
      const back = s.g.op('Transpose', [mixed], { perm: [0, 2, 1, 3] });
      return project(s, s.g.op('Reshape', [back, s.ints(2, 4, 12)]), 12);
    },
  },
  {
    name: 'Reshape of channels last: a channel is every C-th position',
    units: [8],
    build(s) {
      const last = s.g.op('Transpose', [image(s, 8, 3)], { perm: [0, 2, 3, 1] });
      return project(s, s.g.op('Reshape', [last, s.ints(1, -1)]), 72);
    },
  },
  {
    name: 'Reshape: shuffled channels',
    units: [6],
    build(s) {
      const split = s.g.op('Reshape', [image(s, 12), s.ints(1, 2, 6, 6, 6)]);
      const turned = s.g.op('Transpose', [split], { perm: [0, 2, 1, 3, 4] });
      return read(s, s.g.op('Reshape', [turned, s.ints(1, 12, 6, 6)]), 12);
    },
  },
  {
    name: 'Reshape to a target that is calculated',
    units: [8],
    build(s) {
      const x = image(s, 8, 3);
      const batch = s.g.op('Gather', [s.g.op('Shape', [x]), s.ints(0)]);
      const target = s.g.op('Concat', [batch, s.ints(72)], { axis: 0 });
      return project(s, s.g.op('Reshape', [x, target]), 72);
    },
  },
  {
    name: 'Size beside the data',
    units: [8],
    build(s) {
      const x = image(s);
      return [
        read(s, x),
        s.g.op('Mul', [s.g.op('Size', [x]), s.g.constant('no', Tensor.scalar('int64', 0))]),
      ];
    },
  },
  {
    name: 'Squeeze and Unsqueeze',
    units: [8],
    build(s) {
      const pooled = s.g.op('GlobalAveragePool', [image(s)]);
      const flat = s.g.op('Squeeze', [pooled, s.ints(2, 3)]);
      return read(s, s.g.op('Unsqueeze', [flat, s.ints(2, 3)]), 8);
    },
  },
  {
    name: 'Expand of a constant along channels, and of channels along space',
    units: [8],
    build(s) {
      const row = s.g.op('Expand', [s.weight([1, 1, 1, 1]), s.ints(1, 8, 1, 1)]);
      const pooled = s.g.op('GlobalAveragePool', [image(s)]);
      return read(s, s.g.op('Add', [s.g.op('Expand', [pooled, s.ints(1, 8, 4, 4)]), row]), 8);
    },
  },
  {
    name: 'ConstantOfShape beside channels',
    units: [8],
    build(s) {
      const one = Tensor.of('float32', [1], [1]);
      const ones = s.g.op('ConstantOfShape', [s.ints(1, 8, 1, 1)], { value: one });
      return read(s, s.g.op('Add', [image(s), ones]), 8);
    },
  },
  {
    name: 'Tile',
    units: [4],
    build: (s) => read(s, s.g.op('Tile', [image(s, 4), s.ints(1, 3, 1, 1)]), 12),
  },
  ...['DCR', 'CRD'].map(
    (mode): OpCase => ({
      name: `DepthToSpace ${mode}`,
      units: [3],
      build: (s) => read(s, s.g.op('DepthToSpace', [image(s, 12)], { blocksize: 2, mode }), 3),
    }),
  ),
  {
    name: 'SpaceToDepth',
    units: [8],
    build: (s) => read(s, s.g.op('SpaceToDepth', [image(s)], { blocksize: 2 }), 32),
  },
  {
    name: 'ReverseSequence',
    units: [8],
    build(s) {
      const lengths = s.g.constant('lengths', Tensor.int64([1, 2, 2, 1]));
      return project(s, s.g.op('ReverseSequence', [tokens(s), lengths]));
    },
  },
  ...['ArgMax', 'ArgMin'].map(
    (op): OpCase => ({
      name: `${op} along another axis`,
      units: [8],
      build: (s) => read(s, cast(s, s.g.op(op, [image(s)], { axis: 2 }), 'float32'), 8),
    }),
  ),
  {
    name: 'TopK along another axis',
    units: [8],
    build(s) {
      const [y] = s.g.ops('TopK', [image(s), s.ints(2)], 2, { axis: -1 });
      return read(s, y as Value, 8);
    },
  },
];

function imageAgain(s: Sketch): Value {
  const node = [...s.g.graph.nodes].find(({ op }) => op === 'Conv');
  return node?.output as Value;
}

function turned3(s: Sketch, c: number): Value {
  const keys = tokens(s, c, [2, 4], 'k');
  const split = s.g.op('Reshape', [keys, s.ints(2, 4, 4, c / 4)]);
  return s.g.op('Transpose', [split], { perm: [0, 2, 3, 1] });
}

export const MOVING_CASES: readonly OpCase[] = moving;
