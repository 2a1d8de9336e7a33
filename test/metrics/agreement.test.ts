import { describe, expect, it } from '@jest/globals';
import { Agreement } from '../../src/metrics/agreement.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const float = (shape: number[], values: number[]) => Tensor.of('float32', shape, values);

function agreement(expected: Tensor, actual: Tensor): number | undefined {
  const found = new Agreement();
  found.add(expected, actual);
  return found.score();
}

describe('agreement', () => {
  it('counts rows whose largest score is the same one', () => {
    const a = float([4, 2], [1, 0, 1, 0, 0, 1, 0, 1]);
    const b = float([4, 2], [3, 2, 0, 1, 0, 1, 0, 9]);
    expect(agreement(a, b)).toBe(0.75);
  });

  it('sees scores that were wiped out beside boxes that survived, on either axis', () => {
    const rows = (score: number) => [200, score, 220, 0, 210, 0];
    expect(agreement(float([1, 3, 2], rows(0.9)), float([1, 3, 2], rows(0)))).toBe(0);
    const columns = (score: number) => [200, 220, 210, score, 0, 0];
    const [full, half] = [float([1, 2, 3], columns(0.9)), float([1, 2, 3], columns(0.45))];
    expect(agreement(full, half)).toBeCloseTo(0.75);
  });

  it('forgives small errors and no overflow', () => {
    const a = float([1, 1, 2], [10, -10]);
    expect(agreement(a, float([1, 1, 2], [10.1, -10]))).toBeCloseTo(1, 3);
    expect(agreement(a, float([1, 1, 2], [Number.NaN, -10]))).toBe(0);
    expect(agreement(a, float([1, 1, 2], [Number.POSITIVE_INFINITY, -10]))).toBe(0);
  });

  it('compares integers element by element, and other shapes not at all', () => {
    const ints = (values: number[]) => Tensor.int64(values);
    expect(agreement(ints([1, 2, 3, 4]), ints([1, 2, 3, 5]))).toBe(0.75);
    expect(agreement(ints([1, 2, 3]), ints([1, 2]))).toBe(0);
  });

  it('is perfect for equal outputs, zeros and infinities too', () => {
    const a = float([1, 2, 2], [0, 0, Number.NEGATIVE_INFINITY, 3]);
    expect(agreement(a, a)).toBe(1);
    expect(new Agreement().score()).toBeUndefined();
  });
});
