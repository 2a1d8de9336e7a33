// Fusions on small graphs in the forms that exporters write: what is left, why nothing was done, and
// equal results in onnxruntime.

import { describe, expect, it } from '@jest/globals';
import { attr, type Value } from '../../src/graph/index.ts';
import { rewriteAndCompare, type Sketch } from '../helpers/rewriting.ts';

function batchNorm(s: Sketch, x: Value, channels: number): Value {
  const stats = [s.weight([channels]), s.weight([channels]), s.weight([channels])];
  return s.g.op('BatchNormalization', [x, ...stats, s.positive([channels])], {
    epsilon: attr.float(1e-5),
  });
}

describe('fuse-batchnorm', () => {
  const passes = ['fuse-batchnorm'];

  it('folds into a Conv without bias, grouped and dilated', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes,
      build: (s) => {
        const x = s.input('x', [['batch', 2], 4, 9, 9]);
        const attrs = { group: 2, dilations: [2, 2], pads: [1, 1, 1, 1] };
        return batchNorm(s, s.g.op('Conv', [x, s.weight([6, 2, 3, 3])], attrs), 6);
      },
    });
    expect(ops).toEqual(['Conv']);
  });

  it('folds into a ConvTranspose with bias and groups', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes,
      build: (s) => {
        const x = s.input('x', [2, 4, 5, 5]);
        const attrs = { group: 2, strides: [2, 2] };
        const y = s.g.op('ConvTranspose', [x, s.weight([4, 3, 2, 2]), s.weight([6])], attrs);
        return batchNorm(s, y, 6);
      },
    });
    expect(ops).toEqual(['ConvTranspose']);
  });

  it('folds into a Gemm with alpha, beta and transB', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 11,
      passes,
      build: (s) => {
        const x = s.input('x', [3, 4]);
        const attrs = { alpha: attr.float(0.5), beta: attr.float(2), transB: 1 };
        return batchNorm(s, s.g.op('Gemm', [x, s.weight([5, 4]), s.weight([5])], attrs), 5);
      },
    });
    expect(ops).toEqual(['Gemm']);
  });

  it('turns MatMul into Gemm', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes,
      build: (s) => batchNorm(s, s.g.op('MatMul', [s.input('x', [3, 4]), s.weight([4, 5])]), 5),
    });
    expect(ops).toEqual(['Gemm']);
  });

  it('folds into an unpadded Conv after it', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes,
      build: (s) => {
        const x = s.g.op('Relu', [s.input('x', [2, 4, 6, 6])]);
        return s.g.op('Conv', [batchNorm(s, x, 4), s.weight([6, 2, 3, 3]), s.weight([6])], {
          group: 2,
        });
      },
    });
    expect(ops).toEqual(['Relu', 'Conv']);
  });

  it('folds into a Gemm after it', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes,
      build: (s) => {
        const x = s.g.op('Relu', [s.input('x', [2, 4])]);
        return s.g.op('Gemm', [batchNorm(s, x, 4), s.weight([4, 3])], { alpha: attr.float(0.5) });
      },
    });
    expect(ops).toEqual(['Relu', 'Gemm']);
  });

  it('calculates half precision weights in double and rounds once', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes,
      build: (s) => {
        const x = s.input('x', [1, 3, 5, 5], 'float16');
        const y = s.g.op('Conv', [x, s.weight([4, 3, 3, 3], 'float16')]);
        const stats = [
          s.weight([4], 'float16'),
          s.weight([4], 'float16'),
          s.weight([4], 'float16'),
        ];
        return s.g.op('BatchNormalization', [y, ...stats, s.positive([4], 'float16')]);
      },
    });
    expect(ops).toEqual(['Conv']);
  });

  it.each<[string, (s: Sketch) => Value | Value[]]>([
    [
      '"x_conv" is read elsewhere too',
      (s) => {
        const y = s.g.op('Conv', [s.input('x', [1, 3, 5, 5]), s.weight([4, 3, 3, 3])]);
        return [batchNorm(s, y, 4), s.g.op('Relu', [y])];
      },
    ],
    [
      'is not constant',
      (s) => {
        const w = s.input('w', [4, 3, 3, 3]);
        return batchNorm(s, s.g.op('Conv', [s.input('x', [1, 3, 5, 5]), w]), 4);
      },
    ],
    [
      'is shared with other nodes',
      (s) => {
        const [x, w] = [s.input('x', [1, 64, 5, 5]), s.weight([64, 64, 3, 3])];
        const first = batchNorm(s, s.g.op('Conv', [x, w]), 64);
        return [first, s.g.op('Conv', [x, w], { pads: [1, 1, 1, 1] })];
      },
    ],
    [
      'pads its input',
      (s) => {
        const x = s.g.op('Relu', [s.input('x', [1, 4, 5, 5])]);
        return s.g.op('Conv', [batchNorm(s, x, 4), s.weight([6, 4, 3, 3])], { pads: [1, 1, 1, 1] });
      },
    ],
    [
      'its statistics are not constant',
      (s) => {
        const y = s.g.op('Conv', [s.input('x', [1, 3, 5, 5]), s.weight([4, 3, 3, 3])]);
        const rest = [s.weight([4]), s.weight([4]), s.positive([4])];
        return s.g.op('BatchNormalization', [y, s.input('gamma', [4]), ...rest]);
      },
    ],
  ])('leaves it and says: %s', async (reason, build) => {
    const { ops, reasons } = await rewriteAndCompare({ opset: 13, passes, build });
    expect(ops).toContain('BatchNormalization');
    const expected = reason.startsWith('"') ? 'is read elsewhere too' : reason;
    expect(reasons.join('\n')).toContain(expected);
  });
});

describe('fuse-scale', () => {
  const passes = ['fuse-scale'];

  it.each<[string, (s: Sketch) => Value, string[]]>([
    [
      'Mul per channel into Conv',
      (s) => {
        const y = s.g.op('Conv', [
          s.input('x', [1, 3, 5, 5]),
          s.weight([4, 3, 3, 3]),
          s.weight([4]),
        ]);
        return s.g.op('Mul', [s.weight([4, 1, 1]), y]);
      },
      ['Conv'],
    ],
    [
      'Div by a scalar into ConvTranspose',
      (s) => {
        const y = s.g.op('ConvTranspose', [s.input('x', [1, 3, 5, 5]), s.weight([3, 4, 3, 3])]);
        return s.g.op('Div', [y, s.scalar(3, 'float32', [1])]);
      },
      ['ConvTranspose'],
    ],
    [
      'Mul per column into MatMul and its Add',
      (s) => {
        const y = s.g.op('MatMul', [s.input('x', [2, 3, 4]), s.weight([4, 5])]);
        return s.g.op('Mul', [s.g.op('Add', [y, s.weight([5])]), s.weight([5])]);
      },
      ['MatMul', 'Add'],
    ],
    [
      'scaling of attention queries through the split of heads',
      (s) => {
        const y = s.g.op('MatMul', [s.input('x', [2, 3, 8]), s.weight([8, 8])]);
        const q = s.g.op('Reshape', [s.g.op('Add', [y, s.weight([8])]), s.ints(0, 0, 2, 4)]);
        return s.g.op('Mul', [s.g.op('Transpose', [q], { perm: [0, 2, 1, 3] }), s.scalar(0.5)]);
      },
      ['MatMul', 'Add', 'Reshape', 'Transpose'],
    ],
    [
      'not what is one per row',
      (s) => {
        const y = s.g.op('MatMul', [s.input('x', [2, 5, 4]), s.weight([4, 5])]);
        return s.g.op('Mul', [y, s.weight([5, 1])]);
      },
      ['MatMul', 'Mul'],
    ],
    [
      'not what widens the result',
      (s) => {
        const y = s.g.op('Conv', [s.input('x', [1, 3, 5, 5]), s.weight([1, 3, 3, 3])]);
        return s.g.op('Mul', [y, s.weight([4, 1, 1])]);
      },
      ['Conv', 'Mul'],
    ],
  ])('%s', async (_, build, left) => {
    const { ops } = await rewriteAndCompare({ opset: 13, passes, build });
    expect(ops).toEqual(left);
  });
});

describe('fuse-bias', () => {
  it.each<[string, (s: Sketch, y: Value) => Value]>([
    ['Add', (s, y) => s.g.op('Add', [s.weight([1, 4, 1, 1]), y])],
    ['Sub', (s, y) => s.g.op('Sub', [y, s.weight([4, 1, 1])])],
    ['Sub from a constant', (s, y) => s.g.op('Sub', [s.weight([4, 1, 1]), y])],
  ])('%s', async (_, build) => {
    for (const bias of [false, true]) {
      const { ops } = await rewriteAndCompare({
        opset: 13,
        passes: ['fuse-bias'],
        build: (s) => {
          const inputs = [s.input('x', [1, 3, 5, 5]), s.weight([4, 3, 3, 3])];
          return build(s, s.g.op('Conv', bias ? [...inputs, s.weight([4])] : inputs));
        },
      });
      expect(ops).toEqual(['Conv']);
    }
  });
});

describe('fuse-pad', () => {
  const pads = [0, 0, 1, 2, 0, 0, 2, 1];

  it.each<[string, (s: Sketch, x: Value) => Value, string[]]>([
    [
      'into Conv that pads, too',
      (s, x) => {
        const y = s.g.op('Pad', [x, s.ints(...pads)]);
        return s.g.op('Conv', [y, s.weight([4, 3, 3, 3])], { pads: [1, 0, 1, 0] });
      },
      ['Relu', 'Conv'],
    ],
    [
      'into AveragePool, counting the zeros',
      (s, x) => {
        const y = s.g.op('Pad', [x, s.ints(...pads), s.scalar(0)]);
        return s.g.op('AveragePool', [y], { kernel_shape: [3, 3], strides: [2, 2] });
      },
      ['Relu', 'AveragePool'],
    ],
    [
      'into MaxPool of what is not negative',
      (s, x) => {
        const y = s.g.op('Pad', [x, s.ints(...pads)]);
        return s.g.op('MaxPool', [y], { kernel_shape: [3, 3], strides: [2, 2] });
      },
      ['Relu', 'MaxPool'],
    ],
    [
      'not into MaxPool of what may be negative',
      (s, x) => {
        const y = s.g.op('Pad', [s.g.op('Neg', [x]), s.ints(...pads)]);
        return s.g.op('MaxPool', [y], { kernel_shape: [3, 3] });
      },
      ['Relu', 'Neg', 'Pad', 'MaxPool'],
    ],
    [
      'not of ones into Conv',
      (s, x) => {
        const y = s.g.op('Pad', [x, s.ints(...pads), s.scalar(1)]);
        return s.g.op('Conv', [y, s.weight([4, 3, 3, 3])]);
      },
      ['Relu', 'Pad', 'Conv'],
    ],
    [
      'not where it crops',
      (s, x) => {
        const y = s.g.op('Pad', [x, s.ints(0, 0, -1, 0, 0, 0, 1, 0)]);
        return s.g.op('Conv', [y, s.weight([4, 3, 3, 3])]);
      },
      ['Relu', 'Pad', 'Conv'],
    ],
  ])('%s', async (_, build, left) => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-pad'],
      build: (s) => build(s, s.g.op('Relu', [s.input('x', [1, 3, 7, 7])])),
    });
    expect(ops).toEqual(left);
  });
});

describe('fuse-gemm', () => {
  it.each<[string, (s: Sketch) => Value, string[]]>([
    [
      'MatMul and Add',
      (s) =>
        s.g.op('Add', [s.weight([5]), s.g.op('MatMul', [s.input('x', [3, 4]), s.weight([4, 5])])]),
      ['Gemm'],
    ],
    [
      'a transposed operand',
      (s) => {
        const x = s.g.op('Transpose', [s.input('x', [4, 3])]);
        return s.g.op('MatMul', [x, s.input('y', [4, 5])]);
      },
      ['Gemm'],
    ],
    [
      'a factor',
      (s) => {
        const y = s.g.op('MatMul', [s.input('x', [3, 4]), s.input('y', [4, 5])]);
        return s.g.op('Mul', [y, s.scalar(0.25)]);
      },
      ['Gemm'],
    ],
    [
      'not in three dimensions',
      (s) =>
        s.g.op('Add', [
          s.g.op('MatMul', [s.input('x', [2, 3, 4]), s.weight([4, 5])]),
          s.weight([5]),
        ]),
      ['MatMul', 'Add'],
    ],
    [
      'not where C is wider',
      (s) =>
        s.g.op('Add', [
          s.g.op('MatMul', [s.input('x', [1, 4]), s.weight([4, 5])]),
          s.weight([3, 5]),
        ]),
      ['MatMul', 'Add'],
    ],
  ])('%s', async (_, build, left) => {
    const { ops } = await rewriteAndCompare({ opset: 13, passes: ['fuse-gemm'], build });
    expect(ops).toEqual(left);
  });
});

describe('activations', () => {
  const gelu = (s: Sketch, x: Value) => {
    const erf = s.g.op('Erf', [s.g.op('Div', [x, s.scalar(Math.SQRT2)])]);
    return s.g.op('Mul', [s.g.op('Mul', [x, s.g.op('Add', [erf, s.scalar(1)])]), s.scalar(0.5)]);
  };
  const geluTanh = (s: Sketch, x: Value) => {
    const cube = s.g.op('Mul', [s.g.op('Pow', [x, s.scalar(3)]), s.scalar(0.044715)]);
    const inner = s.g.op('Mul', [s.g.op('Add', [x, cube]), s.scalar(Math.sqrt(2 / Math.PI))]);
    const sum = s.g.op('Add', [s.g.op('Tanh', [inner]), s.scalar(1)]);
    return s.g.op('Mul', [s.g.op('Mul', [x, s.scalar(0.5)]), sum]);
  };
  const geluTanhFactored = (s: Sketch, x: Value) => {
    const square = s.g.op('Mul', [s.g.op('Mul', [x, s.scalar(0.044715)]), x]);
    const slope = s.g.op('Mul', [x, s.scalar(Math.sqrt(2 / Math.PI))]);
    const inner = s.g.op('Mul', [slope, s.g.op('Add', [square, s.scalar(1)])]);
    const sum = s.g.op('Add', [s.scalar(1), s.g.op('Tanh', [inner])]);
    return s.g.op('Mul', [x, s.g.op('Mul', [s.scalar(0.5), sum])]);
  };
  const silu = (s: Sketch, x: Value) => s.g.op('Mul', [x, s.g.op('Sigmoid', [x])]);
  const quickGelu = (s: Sketch, x: Value) =>
    s.g.op('Mul', [x, s.g.op('Sigmoid', [s.g.op('Mul', [x, s.scalar(1.702)])])]);
  const hardSwish = (s: Sketch, x: Value) => {
    const clip = s.g.op('Clip', [s.g.op('Add', [x, s.scalar(3)]), s.scalar(0), s.scalar(6)]);
    return s.g.op('Div', [s.g.op('Mul', [x, clip]), s.scalar(6)]);
  };
  const hardSigmoid = (s: Sketch, x: Value) => {
    const clip = s.g.op('Clip', [s.g.op('Add', [x, s.scalar(3)]), s.scalar(0), s.scalar(6)]);
    return s.g.op('Div', [clip, s.scalar(6)]);
  };
  const softplus = (s: Sketch, x: Value) =>
    s.g.op('Log', [s.g.op('Add', [s.g.op('Exp', [x]), s.scalar(1)])]);
  const mish = (s: Sketch, x: Value) => s.g.op('Mul', [x, s.g.op('Tanh', [softplus(s, x)])]);
  const softmax = (s: Sketch, x: Value) => {
    const max = s.g.op('ReduceMax', [x], { axes: [-1] });
    const exp = s.g.op('Exp', [s.g.op('Sub', [x, max])]);
    return s.g.op('Div', [exp, s.g.op('ReduceSum', [exp, s.ints(2)], {})]);
  };

  it.each<[string, number, 'basic' | 'extended', (s: Sketch, x: Value) => Value, string[]]>([
    ['Gelu', 20, 'basic', gelu, ['Gelu']],
    ['Gelu before opset 20', 13, 'extended', gelu, ['ms.Gelu']],
    ['tanh Gelu', 20, 'basic', geluTanh, ['Gelu']],
    ['tanh Gelu before opset 20', 13, 'extended', geluTanh, ['ms.FastGelu']],
    ['factored tanh Gelu', 20, 'basic', geluTanhFactored, ['Gelu']],
    ['Swish', 24, 'basic', silu, ['Swish']],
    ['Swish before opset 24', 13, 'extended', silu, ['ms.QuickGelu']],
    ['QuickGelu', 24, 'basic', quickGelu, ['Swish']],
    ['QuickGelu before opset 24', 13, 'extended', quickGelu, ['ms.QuickGelu']],
    ['HardSwish', 14, 'basic', hardSwish, ['HardSwish']],
    ['HardSwish before opset 14', 13, 'basic', hardSwish, ['HardSigmoid', 'Mul']],
    ['HardSigmoid', 13, 'basic', hardSigmoid, ['HardSigmoid']],
    ['Softplus', 13, 'basic', softplus, ['Softplus']],
    ['Mish', 18, 'basic', mish, ['Mish']],
    ['Softmax', 13, 'basic', softmax, ['Softmax']],
  ])('%s at opset %i, %s', async (_, opset, level, build, left) => {
    const passes = ['softmax', 'gelu', 'softplus', 'mish', 'hard-swish', 'hard-sigmoid', 'silu'];
    const { ops } = await rewriteAndCompare({
      opset,
      level,
      passes: passes.map((name) => `fuse-${name}`),
      build: (s) => build(s, s.input('x', [2, 3, 8])),
    });
    expect(ops).toEqual(left);
  });

  it('says which opset would allow it', async () => {
    const { ops, reasons } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-gelu'],
      build: (s) => gelu(s, s.input('x', [2, 3])),
    });
    expect(ops).toHaveLength(5);
    expect(reasons).toContain('Gelu needs opset 20; --opset 20 or --level extended allows it');
  });

  it('leaves a GELU whose inner result is read elsewhere', async () => {
    const { ops, reasons } = await rewriteAndCompare({
      opset: 20,
      passes: ['fuse-gelu'],
      build: (s) => {
        const y = gelu(s, s.input('x', [2, 3]));
        const erf = y.producer?.input(0)?.producer?.input(1)?.producer?.input(0);
        return erf ? [y, s.g.op('Neg', [erf])] : [y];
      },
    });
    expect(ops).toContain('Erf');
    expect(reasons).toContain('a step of it is read elsewhere');
  });
});
