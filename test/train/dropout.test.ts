import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { STEP } from '../../src/train/dropout.ts';
import { graft } from '../../src/train/graft.ts';
import { parseModel } from '../helpers/parse.ts';
import { steps } from './training.ts';

const SIZE = 2000;
const STEPS = 3;
const text = (rate: string) => `
g (float[1, ${SIZE}] x) => (float[1, ${SIZE}] y)
<float[1, ${SIZE}] W = {${new Array(SIZE).fill(1)}}, float p = {${rate}}>
{
  h = Mul(x, W)
  y = Dropout(h, p)
}`;

/** The gradients of W in each step, by sums of them: plain descent at rate 0 keeps W. */
async function gradients(rate: string, first: number): Promise<number[][]> {
  const found: number[][] = [];
  for (let i = 0; i < STEPS; i++) {
    const feeds = new Map([
      ['x', Tensor.of('float32', [1, 1, SIZE], new Float32Array(SIZE).fill(1))],
      ['target/labels', Tensor.of('float32', [1, 1, SIZE], new Float32Array(SIZE))],
      [STEP, Tensor.of('float64', [1], [first + i])],
    ]);
    const run = await steps({ text: text(rate), settings: { momentum: 0 } }, feeds, [0]);
    found.push([...(run.get('W#m') ?? [])]);
  }
  return found;
}

describe('dropout', () => {
  it('drops its share, lifts the rest, and drops others in the next step', async () => {
    const found = await gradients('0.3', 0);
    for (const one of found) {
      const dropped = one.filter((value) => value === 0).length / SIZE;
      expect(Math.abs(dropped - 0.3)).toBeLessThan(0.05);
      // d/dw of mean (w·k)² with k = 1 / 0.7 where it is kept.
      const kept = one.filter((value) => value !== 0);
      for (const value of kept) expect(value).toBeCloseTo((2 / SIZE) * (1 / 0.7) ** 2, 7);
    }
    const same =
      found[0]?.filter((value, i) => (value === 0) === (found[1]?.[i] === 0)).length ?? 0;
    expect(Math.abs(same / SIZE - 0.58)).toBeLessThan(0.06);
  });

  it('drops the same when a step is taken again', async () => {
    const [one, two] = [await gradients('0.5', 4), await gradients('0.5', 4)];
    expect(one).toEqual(two);
  });

  it('leaves teachers alone', () => {
    const student = parseModel(text('0.5'));
    const [output] = graft(student, parseModel(text('0.5')), 'teacher/');
    expect(output?.producer?.op).toBe('Mul');
    const dropped = [...student.graph.nodes].filter(({ op }) => op === 'Dropout');
    expect(dropped).toHaveLength(1);
  });
});
