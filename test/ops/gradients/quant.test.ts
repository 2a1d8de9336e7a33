// Gradients through rounding against the formulas of the paper (Esser et al. 2020, equations 3 and 5),
// written out element by element.

import { describe, expect, it } from '@jest/globals';
import { Builder } from '../../../src/graph/index.ts';
import { inferNode, inferTypes } from '../../../src/ops/index.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import type { DType } from '../../../src/tensor/dtype.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { differentiate } from '../../../src/train/differentiate.ts';
import { parseModel } from '../../helpers/parse.ts';

const run = createRunner({ optimization: 'disabled' });

interface Case {
  readonly type: DType;
  readonly zero: number;
  /** Codes that the type holds. */
  readonly codes: readonly [number, number];
}

const X = [-3.1, -0.26, 0.05, 0.34, 1.9, 7.3];
const DY = [0.5, -1, 2, 0.25, -0.75, 3];
const SCALES = [0.2, 0.05];

/** x [2, 3] with a scale for each row. */
function paper({ zero, codes: [least, largest] }: Case) {
  const [low, high] = [least - zero, largest - zero];
  const dx = X.map((x, i) => {
    const v = x / (SCALES[Math.floor(i / 3)] as number);
    return v > low && v < high ? (DY[i] as number) : 0;
  });
  const ds = SCALES.map((s, row) =>
    X.slice(3 * row, 3 * row + 3).reduce((sum, x, column) => {
      const v = x / s;
      const slope = v <= low ? low : v >= high ? high : Math.round(v) - v;
      return sum + slope * (DY[3 * row + column] as number);
    }, 0),
  );
  return { dx, ds };
}

describe('gradients of fake quantisation', () => {
  it.each<Case>([
    { type: 'int8', zero: 0, codes: [-128, 127] },
    { type: 'uint8', zero: 90, codes: [0, 255] },
    { type: 'int4', zero: 0, codes: [-8, 7] },
  ])('are those of learned step sizes: $type', async (one) => {
    const model =
      parseModel(`g (float[2,3] x, float[2] s, float[2,3] dy) => (float[2,3] w) <int8[2] z = {0, 0}> {
      q = QuantizeLinear<axis = 0>(x, s, z)
      y = DequantizeLinear<axis = 0>(q, s, z)
      w = Mul(y, dy)
    }`);
    model.opsets.set('', 21);
    const [z] = model.graph.initializers;
    const zeros = Uint8Array.from(one.type === 'int4' ? [0] : [one.zero, one.zero]);
    if (z) model.graph.setData(z, Tensor.fromBytes(one.type, [2], zeros));
    inferTypes(model);
    const [x, s] = model.graph.inputs;
    if (!x || !s) throw new Error('no inputs');
    const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
    const loss = g.op('ReduceSum', model.graph.outputs, { keepdims: 0 });
    const gradients = differentiate(model, loss, [x, s]);
    const [dx, ds] = [gradients.get(x), gradients.get(s)];
    if (!dx || !ds) throw new Error('no gradients');
    model.graph.outputs = [dx, ds];
    const found = await run(
      model,
      new Map([
        ['x', Tensor.of('float32', [2, 3], X)],
        ['s', Tensor.of('float32', [2], SCALES)],
        ['dy', Tensor.of('float32', [2, 3], DY)],
      ]),
    );
    const expected = paper(one);
    const numbers = (name: string) =>
      found
        .get(name)
        ?.numbers()
        .map((x) => Math.fround(x)) ?? [];
    const close = (name: string, values: readonly number[]) => {
      const errors = numbers(name).map((value, i) => Math.abs(value - (values[i] ?? Number.NaN)));
      expect(Math.max(...errors)).toBeLessThan(1e-4);
    };
    expect(found.get(dx.name)?.shape).toEqual([2, 3]);
    expect(found.get(ds.name)?.shape).toEqual([2]);
    close(dx.name, expected.dx);
    close(ds.name, expected.ds);
  });
});
