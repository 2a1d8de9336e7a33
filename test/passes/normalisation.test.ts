// Layer and RMS normalisation in the forms that exporters write.

import { describe, expect, it } from '@jest/globals';
import { attr, type Value } from '../../src/graph/index.ts';
import { rewriteAndCompare, type Sketch } from '../helpers/rewriting.ts';

const mean = (s: Sketch, x: Value, axes = [-1]) => s.g.op('ReduceMean', [x], { axes });
const square = (s: Sketch, x: Value) => s.g.op('Pow', [x, s.scalar(2)]);
const plusEpsilon = (s: Sketch, x: Value) => s.g.op('Add', [x, s.scalar(1e-5)]);

/** As PyTorch writes it before opset 17. */
function torch(s: Sketch, x: Value, axes = [-1], sizes = [8]): Value {
  const d = s.g.op('Sub', [x, mean(s, x, axes)]);
  const deviation = s.g.op('Sqrt', [plusEpsilon(s, mean(s, square(s, d), axes))]);
  const scaled = s.g.op('Mul', [s.g.op('Div', [d, deviation]), s.weight(sizes)]);
  return s.g.op('Add', [scaled, s.weight(sizes)]);
}

/** With a reciprocal, the square as a product, and operands the other way round. */
function reciprocal(s: Sketch, x: Value): Value {
  const d = s.g.op('Sub', [x, mean(s, x)]);
  const deviation = s.g.op('Sqrt', [plusEpsilon(s, mean(s, s.g.op('Mul', [d, d])))]);
  const y = s.g.op('Mul', [s.g.op('Reciprocal', [deviation]), d]);
  return s.g.op('Add', [s.weight([8]), s.g.op('Mul', [s.weight([8]), y])]);
}

/** Scale and shift spread out, as TensorFlow writes it. */
function tensorflow(s: Sketch, x: Value): Value {
  const m = mean(s, x);
  const d = s.g.op('Sub', [x, m]);
  const root = s.g.op('Sqrt', [plusEpsilon(s, mean(s, s.g.op('Mul', [d, d])))]);
  const inverse = s.g.op('Mul', [s.g.op('Reciprocal', [root]), s.weight([8])]);
  const shift = s.g.op('Sub', [s.weight([8]), s.g.op('Mul', [m, inverse])]);
  return s.g.op('Add', [s.g.op('Mul', [x, inverse]), shift]);
}

function withoutScale(s: Sketch, x: Value): Value {
  const d = s.g.op('Sub', [x, mean(s, x)]);
  return s.g.op('Div', [d, s.g.op('Sqrt', [plusEpsilon(s, mean(s, square(s, d)))])]);
}

describe('fuse-layer-norm', () => {
  const passes = ['fuse-layer-norm'];

  it.each<[string, (s: Sketch, x: Value) => Value]>([
    ['PyTorch', torch],
    ['reciprocal', reciprocal],
    ['TensorFlow', tensorflow],
    ['no scale', withoutScale],
    ['two axes', (s, x) => torch(s, x, [-2, -1], [3, 8])],
  ])('%s', async (_, build) => {
    const { ops } = await rewriteAndCompare({
      opset: 17,
      passes,
      build: (s) => build(s, s.input('x', [['batch', 2], 3, 8])),
    });
    expect(ops).toEqual(['LayerNormalization']);
  });

  it('needs opset 17, or level extended', async () => {
    const build = (s: Sketch) => torch(s, s.input('x', [2, 3, 8]));
    const basic = await rewriteAndCompare({ opset: 13, passes, build });
    expect(basic.ops).toHaveLength(9);
    expect(basic.reasons.join()).toContain('needs opset 17; --opset 17 or --level extended');
    const extended = await rewriteAndCompare({ opset: 13, level: 'extended', passes, build });
    expect(extended.ops).toEqual(['LayerNormalization']);
  });

  it('takes in an island of Casts', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 17,
      passes,
      build: (s) => {
        const x = s.g.op('Cast', [s.input('x', [2, 3, 8], 'float16')], { to: 1 });
        const y = s.g.op('Cast', [withoutScale(s, x)], { to: 10 });
        const scaled = s.g.op('Mul', [y, s.weight([8], 'float16')]);
        return s.g.op('Add', [scaled, s.weight([8], 'float16')]);
      },
    });
    expect(ops).toEqual(['LayerNormalization']);
  });

  it('leaves what does not reach the last axis, and what is read elsewhere', async () => {
    const middle = await rewriteAndCompare({
      opset: 17,
      passes,
      build: (s) => torch(s, s.input('x', [2, 3, 8]), [1], [8]),
    });
    expect(middle.ops).not.toContain('LayerNormalization');
    const read = await rewriteAndCompare({
      opset: 17,
      passes,
      build: (s) => {
        const y = withoutScale(s, s.input('x', [2, 3, 8]));
        return [y, s.g.op('Neg', [y.producer?.input(1) as Value])];
      },
    });
    expect(read.reasons).toContain('a step of it is read elsewhere');
  });
});

/** As LLaMA and T5 write it. */
function rms(s: Sketch, x: Value): Value {
  const variance = plusEpsilon(s, mean(s, square(s, x)));
  const inverse = s.g.op('Div', [s.scalar(1), s.g.op('Sqrt', [variance])]);
  return s.g.op('Mul', [s.weight([8]), s.g.op('Mul', [x, inverse])]);
}

describe('fuse-rms-norm', () => {
  const passes = ['fuse-layer-norm', 'fuse-rms-norm'];

  it('makes the standard operator at opset 23', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 23,
      passes,
      build: (s) => {
        const x = s.input('x', [2, 3, 8]);
        const axes = s.ints(-1);
        const variance = plusEpsilon(s, s.g.op('ReduceMean', [square(s, x), axes]));
        const y = s.g.op('Div', [x, s.g.op('Sqrt', [variance])]);
        return s.g.op('Mul', [y, s.weight([8])]);
      },
    });
    expect(ops).toEqual(['RMSNormalization']);
  });

  it("makes onnxruntime's at level extended", async () => {
    const build = (s: Sketch) => rms(s, s.input('x', [2, 3, 8]));
    const extended = await rewriteAndCompare({ opset: 13, level: 'extended', passes, build });
    expect(extended.ops).toEqual(['SimplifiedLayerNormalization']);
    const basic = await rewriteAndCompare({ opset: 13, passes, build });
    expect(basic.reasons.join()).toContain('needs opset 23');
  });

  it('does not take layer normalisation for it', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes: ['fuse-rms-norm'],
      build: (s) => withoutScale(s, s.input('x', [2, 3, 8])),
    });
    expect(ops).not.toContain('SimplifiedLayerNormalization');
  });
});

describe('fuse-skip-layer-norm', () => {
  const passes = ['fuse-layer-norm', 'fuse-rms-norm', 'fuse-skip-layer-norm'];

  it('takes in the sum, and gives it back where it is read after', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes,
      build: (s) => {
        const sum = s.g.op('Add', [s.input('a', [2, 3, 8]), s.input('b', [2, 3, 8])]);
        return s.g.op('Sub', [torch(s, sum), sum]);
      },
    });
    expect(ops).toEqual(['ms.SkipLayerNormalization', 'Sub']);
  });

  it('works on RMS normalisation, too', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes,
      build: (s) => rms(s, s.g.op('Add', [s.input('a', [2, 3, 8]), s.input('b', [2, 3, 8])])),
    });
    expect(ops).toEqual(['ms.SkipSimplifiedLayerNormalization']);
  });

  it.each<[string, (s: Sketch) => Value | Value[]]>([
    [
      'differ in shape',
      (s) => torch(s, s.g.op('Add', [s.input('a', [2, 3, 8]), s.input('b', [1, 3, 8])])),
    ],
    [
      'is a graph output',
      (s) => {
        const sum = s.g.op('Add', [s.input('a', [2, 3, 8]), s.input('b', [2, 3, 8])]);
        return [torch(s, sum), sum];
      },
    ],
    [
      'works on 4 dimensions',
      (s) => torch(s, s.g.op('Add', [s.input('a', [1, 2, 3, 8]), s.input('b', [1, 2, 3, 8])])),
    ],
  ])('leaves it and says: %s', async (reason, build) => {
    const { ops, reasons } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes,
      build,
    });
    expect(ops).toContain('Add');
    expect(reasons.join('\n')).toContain(reason);
  });
});

describe('fuse-bias-gelu', () => {
  it.each(['none', 'tanh'])('takes the bias into Gelu, approximate %s', async (approximate) => {
    const { ops } = await rewriteAndCompare({
      opset: 20,
      level: 'extended',
      passes: ['fuse-bias-gelu'],
      build: (s) => {
        const sum = s.g.op('Add', [s.weight([8]), s.input('x', [2, 3, 8])]);
        return s.g.op('Gelu', [sum], { approximate: attr.string(approximate) });
      },
    });
    expect(ops).toEqual([approximate === 'tanh' ? 'ms.FastGelu' : 'ms.BiasGelu']);
  });
});
