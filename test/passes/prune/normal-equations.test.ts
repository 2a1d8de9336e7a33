import { describe, expect, it } from '@jest/globals';
import { Sums, solve } from '../../../src/passes/prune/normal-equations.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';

const random = new Random(11);
const normal = (count: number) => Array.from({ length: count }, () => random.normal());

/** Sums over rows x and y. */
function sumsOf(xs: readonly number[][], ys: readonly number[][]): Sums {
  const [width, rows] = [xs[0]?.length ?? 0, ys[0]?.length ?? 0];
  const over = (a: readonly number[][], b: readonly number[][], n: number, m: number) =>
    Array.from({ length: n * m }, (_, i) =>
      a.reduce((sum, row, s) => sum + (row[Math.floor(i / m)] ?? 0) * (b[s]?.[i % m] ?? 0), 0),
    );
  const ones = xs.map(() => [1]);
  const sums = new Sums(width, rows);
  const of = (values: readonly number[]) => Tensor.of('float64', [values.length], values);
  sums.add(
    new Map([
      ['xx', of(over(xs, xs, width, width))],
      ['xy', of(over(xs, ys, width, rows))],
      ['x1', of(over(xs, ones, width, 1))],
      ['y1', of(over(ys, ones, rows, 1))],
      ['n', of([xs.length])],
    ]),
  );
  return sums;
}

/** y = x W + level + noise, for W [rows, width]. */
function data(count: number, w: readonly number[], rows: number, level: number, noise: number) {
  const width = w.length / rows;
  const xs = Array.from({ length: count }, () => normal(width).map((x) => x + 1));
  const ys = xs.map((x) =>
    Array.from({ length: rows }, (_, r) => {
      const sum = x.reduce((total, value, k) => total + value * (w[r * width + k] as number), 0);
      return sum + level + noise * random.normal();
    }),
  );
  return { xs, ys, sums: sumsOf(xs, ys) };
}

describe('the normal equations', () => {
  it('find weights and levels that made the results', () => {
    const [width, rows] = [4, 3];
    const w = normal(width * rows);
    const one = data(300, w, rows, 0.7, 0);
    const two = data(300, w, rows, 0.7, 0);
    const found = solve([one.sums, two.sums], new Float32Array(width * rows), true);
    // Damping pulls a hundredth of the way to the weights given.
    w.forEach((value, i) => {
      expect(Math.abs((found?.w[i] ?? 0) - value)).toBeLessThan(0.03 * Math.hypot(...w));
    });
    const exact = solve([one.sums, two.sums], Float32Array.from(w), true);
    for (const level of exact?.levels ?? []) expect(level).toBeCloseTo(0.7, 5);
  });

  it('hold on to the weights given where few rows say little', () => {
    const [width, rows] = [40, 2];
    const w = normal(width * rows).map((x) => 0.05 * x);
    const [one, two] = [data(24, w, rows, 0, 3), data(24, w, rows, 0, 3)];
    const found = solve([one.sums, two.sums], Float32Array.from(w), false)?.w ?? [];
    const moved = Math.hypot(...w.map((value, i) => (found[i] ?? value) - value));
    // With the damping for many rows it would follow the noise: ‖change‖ is then about 3 √rows.
    expect(moved).toBeLessThan(1.5);
    const fresh = data(500, w, rows, 0, 0);
    const error = (ws: ArrayLike<number>) =>
      fresh.xs.reduce((sum, x, s) => {
        return (fresh.ys[s] ?? []).reduce((total, y, r) => {
          const said = x.reduce((t, value, k) => t + value * (ws[r * width + k] as number), 0);
          return total + (said - y) ** 2;
        }, sum);
      }, 0) / 500;
    expect(error(found.length > 0 ? found : w)).toBeLessThan(2);
  });
});
