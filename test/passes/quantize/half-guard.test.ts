// Half precision under calibration data: what leaves its range, and what it makes wrong, stays float32.

import { describe, expect, it } from '@jest/globals';
import type { Calibration } from '../../../src/passes/quantize/context.ts';
import { observe } from '../../../src/runtime/observe.ts';
import { COMPARABLE } from '../../../src/runtime/runner.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { halve } from '../../helpers/halving.ts';

/** Batches that are held in memory. */
function calibrationOf(batches: readonly Feeds[]): Calibration {
  return {
    ranges: () => Promise.reject(new Error('half precision needs no ranges')),
    async observe(model, names, visit, limit = batches.length) {
      const used = batches.slice(0, limit);
      const inputs = names.filter((name) => used[0]?.has(name));
      for (const [i, feeds] of used.entries()) {
        for (const name of inputs) await visit(name, feeds.get(name) as Tensor, i);
      }
      const inner = names.filter((name) => !inputs.includes(name));
      const session = { ...COMPARABLE, optimization: 'disabled' } as const;
      if (inner.length > 0) await observe(model, used, inner, visit, { session });
    },
  };
}

function normal(name: string, shape: readonly number[], scale: number): Feeds {
  const random = new Random(3, name);
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: size }, () => random.normal() * scale);
  return new Map([[name, Tensor.of('float32', shape, values)]]);
}

describe('values beyond half', () => {
  it('are normalised in float32', async () => {
    const text = `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[8, 64] x) => (float[8, 64] y)
      <float[64, 64] w = random, float[64, 64] v = random, float[64] scale = random,
       float large = {30000}>
      {
        [small] m = MatMul (x, w)
        [grow] h = Mul (m, large)
        [norm] n = LayerNormalization (h, scale)
        [back] y = MatMul (n, v)
      }`;
    const feeds = normal('x', [8, 64], 10);
    const without = await halve(text, { feeds });
    expect(without.error).toBeNaN();
    const calibration = calibrationOf([feeds]);
    const { decisions, error } = await halve(text, { feeds, calibration });
    expect(error).toBeLessThan(5e-3);
    expect(decisions.get('small')?.precision).toBe('fp16');
    expect(decisions.get('back')?.precision).toBe('fp16');
    expect(decisions.get('grow')?.reason).toMatch(
      /^its results reach [\d.]+e\+6 on the calibration data, beyond 16376$/,
    );
    expect(decisions.get('norm')?.reason).toMatch(/^it reads [\d.]+e\+6 on the calibration data/);
  });

  it('may be logits of an attention', async () => {
    const text = `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 16, 32] x) => (float[2, 16, 32] y)
      <float[32, 32] q = random, float[32, 32] k = random, float[32, 32] v = random>
      {
        [q] a = MatMul (x, q)
        [k] b = MatMul (x, k)
        [v] c = MatMul (x, v)
        [turn] t = Transpose <perm = [0, 2, 1]> (b)
        [logits] l = MatMul (a, t)
        [softmax] p = Softmax <axis = -1> (l)
        [mix] y = MatMul (p, c)
      }`;
    const feeds = normal('x', [2, 16, 32], 200);
    expect((await halve(text, { feeds })).error).toBeNaN();
    const { decisions, error } = await halve(text, { feeds, calibration: calibrationOf([feeds]) });
    expect(error).toBeLessThan(5e-3);
    const float = [...decisions].filter(([, { precision }]) => precision === 'float');
    expect(float.map(([name]) => name).sort()).toEqual(['logits', 'softmax']);
  });
});

describe('nodes that half makes wrong', () => {
  it('are found by comparing inner values, and named', async () => {
    // A difference of two numbers that are alike: half has three digits for each.
    const text = `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[8, 64] x) => (float[8, 64] y)
      <float[64, 64] w = random, float[64, 64] v = random, float offset = {12000}>
      {
        [first] m = MatMul (x, w)
        [up] u = Add (m, offset)
        [down] d = Sub (u, offset)
        [last] y = MatMul (d, v)
      }`;
    const feeds = normal('x', [8, 64], 1);
    expect((await halve(text, { feeds })).error).toBeGreaterThan(0.1);
    const { decisions, error } = await halve(text, { feeds, calibration: calibrationOf([feeds]) });
    expect(error).toBeLessThan(5e-3);
    expect(decisions.get('up')?.precision).toBe('float');
    expect(decisions.get('down')?.reason).toMatch(/in float16 its results are off by [\d.]+ %/);
    expect(decisions.get('first')?.precision).toBe('fp16');
    expect(decisions.get('last')?.precision).toBe('fp16');
  });
});
