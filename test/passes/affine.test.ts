// Constants that disappear into the linear operator after them, BatchNormalization beside Transposes,
// Slices one after the other.

import { describe, expect, it } from '@jest/globals';
import { attr, type Value } from '../../src/graph/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { rewriteAndCompare, type Sketch } from '../helpers/rewriting.ts';

describe('fuse-input-affine', () => {
  it.each<[string, (s: Sketch) => Value, string[]]>([
    [
      'the scaling of pixels into Conv, padded or not',
      (s) => {
        const x = s.g.op('Div', [s.input('x', [1, 3, 6, 6]), s.scalar(255)]);
        return s.g.op('Conv', [x, s.weight([4, 3, 3, 3])], { pads: [1, 1, 1, 1] });
      },
      ['Conv'],
    ],
    [
      'mean and deviation of pixels into an unpadded Conv',
      (s) => {
        const x = s.g.op('Sub', [s.input('x', [1, 3, 6, 6]), s.weight([1, 3, 1, 1])]);
        const y = s.g.op('Mul', [x, s.weight([3, 1, 1])]);
        return s.g.op('Conv', [y, s.weight([4, 3, 3, 3]), s.weight([4])]);
      },
      ['Conv'],
    ],
    [
      'not a shift into a Conv that pads',
      (s) => {
        const x = s.g.op('Add', [s.input('x', [1, 3, 6, 6]), s.weight([3, 1, 1])]);
        return s.g.op('Conv', [x, s.weight([4, 3, 3, 3])], { pads: [1, 1, 1, 1] });
      },
      ['Add', 'Conv'],
    ],
    [
      'into a Gemm with alpha and transB',
      (s) => {
        const x = s.g.op('Add', [
          s.weight([4]),
          s.g.op('Mul', [s.input('x', [3, 4]), s.weight([4])]),
        ]);
        const attrs = { alpha: attr.float(0.5), transB: 1 };
        return s.g.op('Gemm', [x, s.weight([5, 4]), s.weight([5])], attrs);
      },
      ['Gemm'],
    ],
    [
      'into a MatMul and its bias',
      (s) => {
        const x = s.g.op('Add', [
          s.g.op('Mul', [s.input('x', [2, 3, 4]), s.weight([4])]),
          s.weight([4]),
        ]);
        return s.g.op('Add', [s.g.op('MatMul', [x, s.weight([4, 5])]), s.weight([5])]);
      },
      ['MatMul', 'Add'],
    ],
    [
      'not a shift where there is no bias',
      (s) => {
        const x = s.g.op('Add', [s.input('x', [2, 3, 4]), s.weight([4])]);
        return s.g.op('MatMul', [x, s.weight([4, 5])]);
      },
      ['Add', 'MatMul'],
    ],
    [
      'not what divides a constant',
      (s) => {
        const x = s.g.op('Div', [s.scalar(2), s.g.op('Exp', [s.input('x', [2, 4])])]);
        return s.g.op('Gemm', [x, s.weight([4, 5])]);
      },
      ['Exp', 'Div', 'Gemm'],
    ],
    [
      'not what widens its input',
      (s) => {
        const x = s.g.op('Mul', [s.input('x', [2, 1]), s.weight([4])]);
        return s.g.op('Gemm', [x, s.weight([4, 5])]);
      },
      ['Mul', 'Gemm'],
    ],
  ])('%s', async (_, build, left) => {
    const { ops } = await rewriteAndCompare({ opset: 13, passes: ['fuse-input-affine'], build });
    expect(ops).toEqual(left);
  });
});

describe('convert-batchnorm', () => {
  const build = (there: number[], back: number[], shape: number[]) => (s: Sketch) => {
    const x = s.g.op('Transpose', [s.input('x', shape)], { perm: there });
    const stats = [s.weight([6]), s.weight([6]), s.weight([6]), s.positive([6])];
    const y = s.g.op('BatchNormalization', [x, ...stats]);
    return s.g.op('Transpose', [y], { perm: back });
  };

  it.each([
    ['of the last axis', [0, 2, 1], [0, 2, 1], [2, 5, 6]],
    ['of a middle axis', [0, 2, 1, 3], [0, 2, 1, 3], [2, 5, 6, 3]],
  ])('%s becomes a product and a sum', async (_, there, back, shape) => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['convert-batchnorm'],
      build: build(there, back, shape),
    });
    expect(ops).toEqual(['Mul', 'Add']);
  });

  it('stays where the Transposes do not cancel', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['convert-batchnorm'],
      build: build([0, 2, 1], [1, 0, 2], [2, 5, 6]),
    });
    expect(ops).toContain('BatchNormalization');
  });
});

describe('fuse-slice', () => {
  it.each([9, 13])('joins slices of different axes at opset %i', async (opset) => {
    const { ops } = await rewriteAndCompare({
      opset,
      passes: ['fuse-slice'],
      build: (s) => {
        const cut = (x: Value, start: number, axis: number, step: number) =>
          opset < 10
            ? s.g.op('Slice', [x], { starts: [start], ends: [100], axes: [axis] })
            : s.g.op('Slice', [x, s.ints(start), s.ints(100), s.ints(axis), s.ints(step)]);
        const rows = cut(s.input('x', [1, 3, 8, 8]), 0, 2, 2);
        return s.g.op('Concat', [cut(rows, 0, -1, 2), cut(rows, 0, 3, 2)], { axis: 1 });
      },
    });
    expect(ops).toEqual(['Slice', 'Slice', 'Concat']);
  });

  it('leaves slices of the same axis, and one that is read as it is', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-slice'],
      build: (s) => {
        const first = s.g.op('Slice', [s.input('x', [4, 8]), s.ints(1), s.ints(3), s.ints(0)]);
        const other = s.g.op('Slice', [first, s.ints(2), s.ints(6), s.ints(1)]);
        const again = s.g.op('Slice', [s.g.op('Neg', [other]), s.ints(0), s.ints(2), s.ints(1)]);
        return [again, s.g.op('Neg', [first])];
      },
    });
    expect(ops.filter((op) => op === 'Slice')).toHaveLength(3);
  });
});

describe('fuse-constants', () => {
  const vector = (s: Sketch) => s.weight([4]);
  const divisor = (s: Sketch) => s.positive([4]);

  it.each<[string, string, (s: Sketch) => Value, string, (s: Sketch) => Value, string[]]>([
    ['Mul and Mul', 'Mul', vector, 'Mul', (s) => s.scalar(3), ['Mul']],
    ['Mul and Div', 'Mul', vector, 'Div', divisor, ['Mul']],
    ['Div and Mul', 'Div', divisor, 'Mul', vector, ['Mul']],
    ['Div and Div', 'Div', divisor, 'Div', (s) => s.scalar(3), ['Div']],
    ['Add and Sub', 'Add', vector, 'Sub', vector, ['Add']],
    ['Sub and Add', 'Sub', vector, 'Add', vector, ['Add']],
    ['Sub and Sub', 'Sub', vector, 'Sub', (s) => s.scalar(3), ['Sub']],
    ['not Add and Mul', 'Add', vector, 'Mul', vector, ['Add', 'Mul']],
    ['not to an outer product', 'Mul', vector, 'Mul', (s) => s.weight([3, 1]), ['Mul', 'Mul']],
  ])('%s', async (_, first, a, second, b, left) => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-constants'],
      build: (s) => s.g.op(second, [s.g.op(first, [s.input('x', [2, 3, 4]), a(s)]), b(s)]),
    });
    expect(ops).toEqual(left);
  });

  it('leaves a constant that is divided or subtracted from', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-constants'],
      build: (s) => {
        const x = s.g.op('Exp', [s.input('x', [2, 4])]);
        return s.g.op('Mul', [s.g.op('Div', [s.scalar(3), x]), s.scalar(2)]);
      },
    });
    expect(ops).toEqual(['Exp', 'Div', 'Mul']);
  });
});

describe('convert-concat', () => {
  it.each([9, 13])('turns a block of zeros into padding at opset %i', async (opset) => {
    const { ops } = await rewriteAndCompare({
      opset,
      passes: ['convert-concat'],
      build: (s) => {
        const zeros = (n: number) => s.g.op('ConstantOfShape', [s.ints(1, n, 4, 4)]);
        return s.g.op('Concat', [zeros(2), s.input('x', [1, 3, 4, 4]), zeros(5)], { axis: -3 });
      },
    });
    expect(ops).toEqual(['Pad']);
  });

  it('leaves a block of ones', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['convert-concat'],
      build: (s) => {
        const value = Tensor.of('float32', [1], [1]);
        const ones = s.g.op('ConstantOfShape', [s.ints(1, 2, 4, 4)], { value });
        return s.g.op('Concat', [s.input('x', [1, 3, 4, 4]), ones], { axis: 1 });
      },
    });
    expect(ops).toEqual(['ConstantOfShape', 'Concat']);
  });
});

describe('fuse-slice of a Concat', () => {
  const halves = (end: number) => (s: Sketch) => {
    const [a, b] = [s.input('a', [2, 3]), s.input('b', [2, 4])];
    const whole = s.g.op('Concat', [s.g.op('Neg', [a]), s.g.op('Abs', [b])], { axis: 1 });
    const cut = (from: number, to: number) =>
      s.g.op('Slice', [whole, s.ints(from), s.ints(to), s.ints(1)]);
    return [s.g.op('Relu', [cut(0, end)]), s.g.op('Relu', [cut(-4, 1000)])];
  };

  it('takes the parts', async () => {
    const test = { opset: 13, passes: ['fuse-slice'] };
    const { ops } = await rewriteAndCompare({ ...test, build: halves(3) });
    expect(ops.sort()).toEqual(['Abs', 'Neg', 'Relu', 'Relu']);
    const other = await rewriteAndCompare({ ...test, build: halves(2) });
    expect(other.ops).toContain('Concat');
  });
});

describe('drop-zero-state', () => {
  const build = (fill: number) => (s: Sketch) => {
    const value = Tensor.of('float32', [1], [fill]);
    const state = () => s.g.op('ConstantOfShape', [s.ints(1, 2, 4)], { value });
    const weights = [s.weight([1, 16, 3]), s.weight([1, 16, 4])];
    const x = s.input('x', [5, 2, 3]);
    const inputs = [x, ...weights, undefined, undefined, state(), state()];
    return s.g.ops('LSTM', inputs, 3, { hidden_size: 4 });
  };

  it('leaves out zeros, and nothing else', async () => {
    const test = { opset: 13, passes: ['drop-zero-state'] };
    expect((await rewriteAndCompare({ ...test, build: build(0) })).ops).toEqual(['LSTM']);
    expect((await rewriteAndCompare({ ...test, build: build(1) })).ops).toHaveLength(3);
  });
});
