// Attention in the forms that exporters write: the masks, where the scale stands, how heads are split.

import { describe, expect, it } from '@jest/globals';
import type { Value } from '../../src/graph/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { type Rewritten, rewriteAndCompare, type Sketch } from '../helpers/rewriting.ts';

const BATCH = ['batch', 2] as const;
const LENGTH = ['length', 5] as const;

interface Form {
  readonly scale?: 'scores' | 'query' | 'both';
  readonly key?: 'once' | 'twice';
  mask?(s: Sketch, scores: Value): Value;
  readonly merged?: boolean;
}

function attention(
  s: Sketch,
  { scale = 'scores', key = 'once', mask, merged = true }: Form,
): Value {
  const split = (name: string, perm: number[]) => {
    const x = s.input(name, [BATCH, LENGTH, 8]);
    return s.g.op('Transpose', [s.g.op('Reshape', [x, s.ints(0, 0, 2, 4)])], { perm });
  };
  const times = (x: Value, factor: number) => s.g.op('Mul', [x, s.scalar(factor)]);
  let q = split('q', [0, 2, 1, 3]);
  let k = split('k', key === 'once' ? [0, 2, 3, 1] : [0, 2, 1, 3]);
  if (key === 'twice') k = s.g.op('Transpose', [k], { perm: [0, 1, 3, 2] });
  if (scale === 'query') q = times(q, 0.5);
  if (scale === 'both') [q, k] = [times(q, Math.SQRT1_2), times(k, Math.SQRT1_2)];
  let scores = s.g.op('MatMul', [q, k]);
  if (scale === 'scores') scores = s.g.op('Div', [scores, s.scalar(2)]);
  if (mask) scores = mask(s, scores);
  const weights = s.g.op('Softmax', [scores], { axis: -1 });
  const y = s.g.op('MatMul', [weights, split('v', [0, 2, 1, 3])]);
  if (!merged) return y;
  return s.g.op('Reshape', [s.g.op('Transpose', [y], { perm: [0, 2, 1, 3] }), s.ints(0, 0, 8)]);
}

const fuse = (
  form: Form,
  opset = 13,
  level: 'basic' | 'extended' = 'extended',
): Promise<Rewritten> =>
  rewriteAndCompare({ opset, level, passes: ['fuse-attention'], build: (s) => attention(s, form) });

describe('fuse-attention', () => {
  it.each<[string, Form]>([
    ['scaled scores', {}],
    ['scaled queries', { scale: 'query' }],
    ['scaled queries and keys', { scale: 'both' }],
    ['keys transposed twice', { key: 'twice' }],
  ])('%s', async (_, form) => {
    expect((await fuse(form)).ops).toEqual(['ms.MultiHeadAttention']);
    expect((await fuse(form, 23, 'basic')).ops).toEqual(['Attention']);
  });

  it('is standard only from opset 23 on', async () => {
    const { ops, reasons } = await fuse({}, 13, 'basic');
    expect(ops).toContain('Softmax');
    expect(reasons.join()).toContain('Attention needs opset 23; --opset 23 or --level extended');
  });

  it('keeps heads apart where the result is not merged', async () => {
    const { ops } = await fuse({ merged: false }, 23, 'basic');
    expect(ops.filter((op) => op === 'Attention')).toHaveLength(1);
    expect(ops).not.toContain('Softmax');
  });

  it.each<[string, NonNullable<Form['mask']>]>([
    [
      'padding mask of BERT',
      (s, scores) => {
        const keep = s.g.op('Cast', [s.input('keep', [BATCH, 1, 1, LENGTH])], { to: 1 });
        return s.g.op('Add', [scores, s.g.op('Mul', [keep, s.scalar(-3)])]);
      },
    ],
    [
      'mask per query',
      (s, scores) => s.g.op('Add', [s.input('mask', [BATCH, 1, LENGTH, LENGTH]), scores]),
    ],
    [
      'mask of two dimensions',
      (s, scores) => s.g.op('Add', [scores, s.input('mask', [LENGTH, LENGTH])]),
    ],
    [
      'condition with -inf',
      (s, scores) => {
        const far = s.g.op('Greater', [s.input('mask', [LENGTH, LENGTH]), s.scalar(1)]);
        return s.g.op('Where', [far, s.scalar(-1e30), scores]);
      },
    ],
    [
      'condition that keeps',
      (s, scores) => {
        const near = s.g.op('Less', [s.input('mask', [1, 1, LENGTH, LENGTH]), s.scalar(1)]);
        return s.g.op('Where', [near, scores, s.scalar(-1e30)]);
      },
    ],
  ])('%s', async (_, mask) => {
    for (const [opset, level, op] of [
      [13, 'extended', 'ms.MultiHeadAttention'],
      [23, 'basic', 'Attention'],
    ] as const) {
      const { ops } = await fuse({ mask }, opset, level);
      expect(ops).toContain(op);
      expect(ops).not.toContain('Softmax');
    }
  });

  it('takes a constant causal mask with a small fill only where every row keeps something', async () => {
    const causal = (s: Sketch, scores: Value, rows: number[]) => {
      const flags = Uint8Array.from(rows);
      const mask = s.g.constant('mask', Tensor.of('bool', [1, 1, 5, 5], flags));
      return s.g.op('Where', [mask, scores, s.scalar(-1e4)]);
    };
    const build = (rows: number[]) => (s: Sketch) => {
      const part = (name: string) => s.input(name, [2, 2, 5, 4]);
      const k = s.g.op('Transpose', [part('k')], { perm: [0, 1, 3, 2] });
      const scores = causal(s, s.g.op('MatMul', [part('q'), k]), rows);
      return s.g.op('MatMul', [s.g.op('Softmax', [scores]), part('v')]);
    };
    const lower = Array.from({ length: 25 }, (_, i) => (i % 5 <= Math.floor(i / 5) ? 1 : 0));
    const passes = ['fuse-attention'];
    const fused = await rewriteAndCompare({ opset: 23, passes, build: build(lower) });
    expect(fused.ops).toContain('Attention');
    const blind = lower.map((flag, i) => (i < 5 ? 0 : flag));
    const left = await rewriteAndCompare({ opset: 23, passes, build: build(blind) });
    expect(left.ops).toContain('Softmax');
  });

  it('leaves attention whose weights are read', async () => {
    const { ops, reasons } = await rewriteAndCompare({
      opset: 23,
      passes: ['fuse-attention'],
      build: (s) => {
        const y = attention(s, { merged: false });
        return [y, s.g.op('Neg', [y.producer?.input(0) as Value])];
      },
    });
    expect(ops).toContain('Softmax');
    expect(reasons).toContain('a step of it is read elsewhere');
  });
});

describe('fuse-matmul', () => {
  const passes = ['fuse-matmul'];

  it('takes in a transposed key and the scale', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes,
      build: (s) => {
        const k = s.g.op('Transpose', [s.input('k', [2, 2, 5, 4])], { perm: [0, 1, 3, 2] });
        return s.g.op('Div', [s.g.op('MatMul', [s.input('q', [2, 2, 5, 4]), k]), s.scalar(2)]);
      },
    });
    expect(ops).toEqual(['ms.FusedMatMul']);
  });

  it('leaves a Transpose of other axes', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes,
      build: (s) => {
        const k = s.g.op('Transpose', [s.input('k', [2, 5, 2, 4])], { perm: [0, 2, 3, 1] });
        return s.g.op('MatMul', [s.input('q', [2, 2, 5, 4]), k]);
      },
    });
    expect(ops).toEqual(['Transpose', 'MatMul']);
  });
});

describe('fuse-parallel-matmul', () => {
  it.each([12, 13])('makes one product of q, k and v at opset %i', async (opset) => {
    const { ops } = await rewriteAndCompare({
      opset,
      passes: ['fuse-parallel-matmul'],
      build: (s) => {
        const x = s.input('x', [BATCH, LENGTH, 8]);
        return [8, 8, 4].map((n) =>
          s.g.op('Add', [s.g.op('MatMul', [x, s.weight([8, n])]), s.weight([n])]),
        );
      },
    });
    expect(ops).toEqual(['MatMul', 'Add', 'Split']);
  });

  it('makes one Gemm of three', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-parallel-matmul'],
      build: (s) => {
        const x = s.input('x', [3, 8]);
        return [8, 3, 4].map((n) =>
          s.g.op('Gemm', [x, s.weight([n, 8]), s.weight([n])], { transB: 1 }),
        );
      },
    });
    expect(ops).toEqual(['Gemm', 'Split']);
  });

  it('leaves two products, which would stay two nodes', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 13,
      passes: ['fuse-parallel-matmul'],
      build: (s) => {
        const x = s.input('x', [2, 3, 8]);
        return [4, 5].map((n) => s.g.op('MatMul', [x, s.weight([8, n])]));
      },
    });
    expect(ops).toEqual(['MatMul', 'MatMul']);
  });
});
