// Transposes and Reshapes that are moved until they cancel.

import { describe, expect, it } from '@jest/globals';
import type { Value } from '../../src/graph/index.ts';
import { rewriteAndCompare, type Sketch } from '../helpers/rewriting.ts';

const NHWC = [0, 2, 3, 1];
const NCHW = [0, 3, 1, 2];
const turn = (s: Sketch, x: Value, perm: number[]) => s.g.op('Transpose', [x], { perm });

async function left(build: (s: Sketch) => Value | Value[], opset = 13): Promise<string[]> {
  return (await rewriteAndCompare({ opset, passes: ['move-transpose'], build })).ops;
}

describe('move-transpose', () => {
  it.each<[string, (s: Sketch, x: Value) => Value, string[]]>([
    ['a unary operator', (s, x) => s.g.op('Relu', [x]), ['Relu']],
    ['a constant of lower rank', (s, x) => s.g.op('Add', [x, s.weight([3])]), ['Add']],
    ['a scalar', (s, x) => s.g.op('Mul', [s.scalar(2), x]), ['Mul']],
    ['Clip', (s, x) => s.g.op('Clip', [x, s.scalar(0), s.scalar(1)]), ['Clip']],
    ['Pad', (s, x) => s.g.op('Pad', [x, s.ints(0, 1, 2, 0, 0, 2, 1, 0)]), ['Pad']],
    ['Slice', (s, x) => s.g.op('Slice', [x, s.ints(1), s.ints(4), s.ints(2)]), ['Slice']],
    ['Slice without axes', (s, x) => s.g.op('Slice', [x, s.ints(0, 1), s.ints(1, 3)]), ['Slice']],
    ['ReduceMean', (s, x) => s.g.op('ReduceMean', [x], { axes: [-1] }), ['ReduceMean']],
    ['Softmax', (s, x) => s.g.op('Softmax', [x], { axis: -1 }), ['Softmax']],
    [
      'Concat with a constant',
      (s, x) => s.g.op('Concat', [x, s.weight([2, 4, 5, 2])], { axis: 3 }),
      ['Concat'],
    ],
    [
      'LayerNormalization not',
      (s, x) => s.g.op('LayerNormalization', [x, s.weight([3])]),
      ['Transpose', 'LayerNormalization', 'Transpose'],
    ],
  ])('between a pair: %s', async (_, build, ops) => {
    const found = await left((s) => {
      const x = s.g.op('Neg', [s.input('x', [2, 3, 4, 5])]);
      return turn(s, build(s, turn(s, x, NHWC)), NCHW);
    }, 17);
    expect(found).toEqual(['Neg', ...ops]);
  });

  it('through a residual block with two ways in and one out', async () => {
    const ops = await left((s) => {
      const [a, b] = [
        turn(s, s.input('a', [2, 3, 4, 5]), NHWC),
        turn(s, s.input('b', [2, 3, 4, 5]), NHWC),
      ];
      const sum = s.g.op('Add', [s.g.op('Relu', [a]), b]);
      const parts = s.g.ops('Split', [s.g.op('Concat', [sum, a], { axis: 3 })], 2, { axis: 3 });
      return turn(s, s.g.op('Mul', [parts[0] as Value, parts[1] as Value]), NCHW);
    });
    expect(ops).toEqual(['Relu', 'Add', 'Concat', 'Split', 'Mul']);
  });

  it('two in, one out, where one has to be put there', async () => {
    const ops = await left((s) => {
      const [a, b] = [
        turn(s, s.input('a', [2, 3, 4]), [0, 2, 1]),
        turn(s, s.input('b', [2, 3, 4]), [0, 2, 1]),
      ];
      return s.g.op('Relu', [s.g.op('Add', [a, b])]);
    });
    expect(ops.filter((op) => op === 'Transpose')).toHaveLength(1);
  });

  it('through axes that disappear', async () => {
    const ops = await left((s) => {
      const x = turn(s, s.input('x', [2, 3, 4, 5]), NHWC);
      return s.g.op('ReduceMax', [x], { axes: [1, 2], keepdims: 0 });
    });
    expect(ops).toEqual(['ReduceMax']);
  });

  it('through Unsqueeze, Squeeze and Gather', async () => {
    const ops = await left((s) => {
      const x = s.g.op('Unsqueeze', [turn(s, s.input('x', [2, 3, 4]), [2, 0, 1]), s.ints(1)]);
      const y = s.g.op('Squeeze', [s.g.op('Neg', [x]), s.ints(1)]);
      return s.g.op('Gather', [y, s.ints(1, 0)], { axis: 1 });
    });
    expect(ops.filter((op) => op === 'Transpose')).toHaveLength(1);
  });

  it('through a Reshape that splits axes: the channel shuffle', async () => {
    const ops = await left((s) => {
      const x = s.g.op('Reshape', [s.input('x', [1, 8, 3, 4]), s.ints(4, 2, 12)]);
      const y = s.g.op('Reshape', [turn(s, x, [1, 0, 2]), s.ints(2, 1, 4, 3, 4)]);
      const halves = [0, 1].map((i) => {
        const index = s.g.op('Squeeze', [s.ints(i)]);
        return s.g.op('Gather', [y, index], { axis: 0 });
      });
      return halves;
    });
    expect(ops).not.toContain('Transpose');
  });

  it('through MatMul with a matrix', async () => {
    const ops = await left((s) => {
      const x = turn(s, s.input('x', [2, 3, 8]), [1, 0, 2]);
      const y = s.g.op('Add', [s.g.op('MatMul', [x, s.weight([8, 4])]), s.weight([4])]);
      return turn(s, y, [1, 0, 2]);
    });
    expect(ops).toEqual(['MatMul', 'Add']);
  });

  it('composes two that do not cancel', async () => {
    const ops = await left((s) =>
      turn(s, s.g.op('Relu', [turn(s, s.input('x', [2, 3, 4]), [1, 2, 0])]), [0, 2, 1]),
    );
    expect(ops.filter((op) => op === 'Transpose')).toHaveLength(1);
  });

  it('leaves one that would only move', async () => {
    const ops = await left((s) => s.g.op('Relu', [turn(s, s.input('x', [2, 3, 4]), [0, 2, 1])]));
    expect(ops).toEqual(['Transpose', 'Relu']);
  });

  it('keeps the names of outputs', async () => {
    const { model } = await rewriteAndCompare({
      opset: 13,
      passes: ['move-transpose'],
      build: (s) => {
        const x = s.g.op('Relu', [turn(s, s.input('x', [2, 3, 4]), [0, 2, 1])]);
        return [turn(s, x, [0, 2, 1]), s.g.op('Neg', [x])];
      },
    });
    expect(model.graph.outputs.map((value) => value.name)).toEqual(['result0', 'result1']);
  });
});

describe('move-reshape', () => {
  it('leaves one Reshape of two around elementwise operators', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['move-reshape'],
      build: (s) => {
        const x = s.g.op('Reshape', [s.input('x', [['batch', 2], 3, 4]), s.ints(0, -1)]);
        const y = s.g.op('Mul', [s.g.op('Relu', [x]), s.scalar(2)]);
        return s.g.op('Reshape', [y, s.ints(-1, 4, 3)]);
      },
    });
    expect(ops).toEqual(['Relu', 'Mul', 'Reshape']);
  });

  it('leaves both where the second copies a size', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['move-reshape'],
      build: (s) => {
        const x = s.g.op('Reshape', [s.input('x', [['batch', 2], 3, 4]), s.ints(-1, 4)]);
        return s.g.op('Reshape', [s.g.op('Relu', [x]), s.ints(0, 2, 2)]);
      },
    });
    expect(ops).toEqual(['Reshape', 'Relu', 'Reshape']);
  });
});

describe('convert-reduce-mean', () => {
  const conv = (s: Sketch) =>
    s.g.op('Relu', [s.g.op('Conv', [s.input('x', [2, 3, 4, 5]), s.weight([4, 3, 1, 1])])]);

  it.each<[string, (s: Sketch) => Value, number[], string]>([
    ['after a Conv', conv, [2, 3], 'GlobalAveragePool'],
    ['with negative axes', conv, [-1, -2], 'GlobalAveragePool'],
    ['not over other axes', conv, [1, 2], 'ReduceMean'],
    ['not where no Conv is near', (s) => s.input('x', [2, 3, 4, 5]), [2, 3], 'ReduceMean'],
  ])('%s', async (_, build, axes, op) => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['convert-reduce-mean'],
      build: (s) => s.g.op('ReduceMean', [build(s)], { axes }),
    });
    expect(ops.at(-1)).toBe(op);
  });
});
