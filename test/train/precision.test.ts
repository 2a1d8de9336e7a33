import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { FIRST_SCALE, useHalf } from '../../src/train/precision.ts';
import { parseModel } from '../helpers/parse.ts';
import { steps } from './training.ts';

const text = (opset = 21) => `<ir_version: 10, opset_import: ["" : ${opset}]>
g (float[2, 2] x) => (float[2, 1] y) <float[2, 1] W = {0.333333, -1.7}> { p = MatMul(x, W) y = Tanh(p) }`;
const feeds = (factor: number) =>
  new Map([
    [
      'x',
      Tensor.of(
        'float32',
        [1, 2, 2],
        [1, 2, -1, 0.5].map((v) => v * factor),
      ),
    ],
    ['target/labels', Tensor.of('float32', [1, 2, 1], [0.3, -0.7])],
  ]);

describe('mixed precision', () => {
  it.each([
    ['float16', true, 2 ** -11],
    ['float16', false, 2 ** -11],
    ['bfloat16', false, 2 ** -8],
  ] as const)('%s (in place: %s) rounds what products read', async (half, inPlace, unit) => {
    const model = parseModel(text());
    inferTypes(model);
    useHalf(model, half, inPlace);
    const session = await loadModel(model);
    const x = Tensor.of('float32', [2, 2], [1.1, 2.3, -1.7, 0.51]);
    const y = (await session.run(new Map([['x', x]]))).get('y')?.values() as Float32Array;
    await session.dispose();
    const exact = [1.1 * 0.333333 - 2.3 * 1.7, -1.7 * 0.333333 - 0.51 * 1.7].map(Math.tanh);
    exact.forEach((value, i) => {
      const error = Math.abs((y[i] as number) - value);
      expect(error).toBeLessThan(8 * unit);
      expect(error).toBeGreaterThan(0);
    });
  });

  it('moves weights as single precision does, whatever the scale of the loss', async () => {
    const plain = { text: text(), settings: { momentum: 0 } };
    const half = await steps({ ...plain, plan: { precision: 'float16' } }, feeds(1), [0.1]);
    const full = await steps(plain, feeds(1), [0.1]);
    half.get('W')?.forEach((value, i) => {
      expect(value).toBeCloseTo(full.get('W')?.[i] as number, 5);
    });
    expect(half.get('#loss_scale')?.[0]).toBe(FIRST_SCALE);
    expect(half.get('#good_steps')?.[0]).toBe(1);
  });

  it('leaves a step out that overflows, and halves the scale', async () => {
    const one = { text: text(), plan: { precision: 'float16' as const } };
    const found = await steps(one, feeds(Number.POSITIVE_INFINITY), [0.1]);
    expect([...(found.get('W') ?? [])]).toEqual([...Float32Array.of(0.333333, -1.7)]);
    expect(found.get('#loss_scale')?.[0]).toBe(FIRST_SCALE / 2);
    expect(found.get('#good_steps')?.[0]).toBe(0);
  });
});
