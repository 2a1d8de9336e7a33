import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { OPTIMIZERS } from '../../src/train/optimizers.ts';
import { type Case, steps } from './training.ts';

// Made by bench/optimizers_torch.py with PyTorch's optimisers on the same problem.
const reference = JSON.parse(
  readFileSync(new URL('./optimizers.json', import.meta.url), 'utf8'),
) as Record<string, { W: number[]; b: number[]; loss: number }>;

const STEPS = 100;
const wave = (i: number, rows: number, columns: number, phase: number) =>
  Array.from({ length: rows * columns }, (_, j) =>
    Math.sin(1.3 * (i * rows * columns + j) + phase),
  );
const text = `
g (float[8, 4] x) => (float[8, 3] y)
<float[4, 3] W = {${wave(0, 4, 3, 2)}}, float[3] b = {0.1, -0.2, 0.3}>
{
  p = MatMul(x, W)
  s = Add(p, b)
  y = Tanh(s)
}`;
const stacked = (rows: number, columns: number, phase: number) =>
  Tensor.of(
    'float32',
    [STEPS, rows, columns],
    Array.from({ length: STEPS }, (_, i) => wave(i % 5, rows, columns, phase)).flat(),
  );
const feeds = new Map([
  ['x', stacked(8, 4, 0)],
  ['target/labels', stacked(8, 3, 1)],
]);

const runs: Record<string, Case & { rate: number }> = {
  adamw: { text, optimizer: 'adamw', rate: 0.01, decay: 0.1 },
  adam: { text, optimizer: 'adam', rate: 0.01, decay: 0.1, plan: { clipNorm: 0.1 } },
  sgd: { text, optimizer: 'sgd', rate: 0.05, decay: 0.1 },
  nesterov: { text, optimizer: 'sgd', rate: 0.05, decay: 0.1, settings: { nesterov: true } },
  rmsprop: { text, optimizer: 'rmsprop', rate: 0.01, decay: 0.1 },
  adagrad: { text, optimizer: 'adagrad', rate: 0.05, decay: 0.1 },
  lion: { text, optimizer: 'lion', rate: 0.01, decay: 0.1 },
};

describe('optimisers', () => {
  it.each(Object.keys(runs))('%s is where PyTorch is after 100 steps', async (name) => {
    const { rate, ...one } = runs[name] as Case & { rate: number };
    const wanted = reference[name] as { W: number[]; b: number[]; loss: number };
    const found = await steps(one, feeds, new Array<number>(STEPS).fill(rate));
    const error = (a: ArrayLike<number>, b: readonly number[]) =>
      Math.max(...b.map((value, i) => Math.abs((a[i] as number) - value)));
    expect(error(found.get('W') as Float32Array, wanted.W)).toBeLessThan(1e-5);
    expect(error(found.get('b') as Float32Array, wanted.b)).toBeLessThan(1e-5);
    expect(found.get('report:loss')?.at(-1)).toBeCloseTo(wanted.loss, 5);
  });

  it('lamb moves a tensor by its rate times its length', async () => {
    const found = await steps({ text, optimizer: 'lamb' }, first(feeds), [0.01]);
    const before = wave(0, 4, 3, 2);
    const after = [...(found.get('W') as Float32Array)];
    const length = (v: readonly number[]) => Math.hypot(...v);
    const moved = length(after.map((value, i) => value - (before[i] as number)));
    expect(moved / length(before)).toBeCloseTo(0.01, 4);
  });

  it('there is one of each that the contract names', () => {
    const names = ['adamw', 'adam', 'sgd', 'rmsprop', 'adagrad', 'lion', 'lamb'];
    expect(Object.keys(OPTIMIZERS).sort()).toEqual(names.sort());
  });
});

function first(all: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    [...all].map(([name, tensor]) => {
      const shape = [1, ...tensor.shape.slice(1)];
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, Tensor.of('float32', shape, (tensor.values() as Float32Array).slice(0, size))];
    }),
  );
}
