import { describe, expect, it } from '@jest/globals';
import { Builder, Graph, Model, tensorType } from '../../../../src/graph/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import { patches } from '../../../../src/passes/prune/sparse/patches.ts';
import {
  findProducts,
  type Product,
  rowsOf,
} from '../../../../src/passes/prune/sparse/products.ts';
import { createRunner } from '../../../../src/runtime/runner.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { parseModel } from '../../../helpers/parse.ts';

const run = createRunner();
const random = new Random(9);

describe('patches times the kernel are the convolution', () => {
  it.each([
    ['3, 4, 3, 2', '', [2, 4, 7, 6]],
    ['3, 4, 3, 2', 'pads = [1, 0, 2, 1], strides = [2, 3], dilations = [1, 2]', [2, 4, 9, 10]],
    ['6, 2, 3, 3', 'group = 2, auto_pad = "SAME_UPPER", strides = [2, 2]', [1, 4, 8, 7]],
    ['4, 1, 2, 5', 'group = 4, auto_pad = "SAME_LOWER", strides = [3, 1]', [1, 4, 8, 7]],
    ['3, 2, 4', 'auto_pad = "VALID", strides = [3]', [3, 2, 12]],
    ['2, 2, 2, 3, 2', 'pads = [1, 1, 0, 0, 1, 1]', [1, 2, 4, 5, 3]],
  ])('weight [%s] <%s>', async (weight, attrs, shape) => {
    const input = shape.map((size, i) => (i < 2 ? size : `s${i}`)).join(', ');
    const result = shape.map((_, i) => `r${i}`).join(', ');
    const model = parseModel(`
g (float[${input}] x) => (float[${result}] y) <float[${weight}] w = random>
{ y = Conv<${attrs || 'group = 1'}>(x, w) }`);
    inferTypes(model);
    const size = shape.reduce((a, b) => a * b, 1);
    const x = Tensor.of(
      'float32',
      shape,
      Float32Array.from({ length: size }, () => random.normal()),
    );
    const feeds = new Map([['x', x]]);
    const y = (await run(model, feeds)).get('y') as Tensor;
    const [product] = findProducts(model, { skip: [], only: [] }).products as [Product];
    const graph = new Graph('patches');
    const g = new Builder(graph);
    const p = patches(g, product, g.input('x', tensorType('float32', undefined)));
    p.type = tensorType('float32', undefined);
    g.output(p, 'p');
    const found = (await run(new Model(graph, new Map([['', 13]]), 8), feeds)).get('p') as Tensor;
    const { rows, width, groups } = product;
    const [n = 1, , ...space] = y.shape;
    const places = space.reduce((a, b) => a * b, 1);
    expect(found.shape).toEqual([n * places, groups * width]);
    const [left, right, w] = [found.numbers(), y.numbers(), rowsOf(product)];
    for (let row = 0; row < n * places; row++) {
      for (let r = 0; r < rows; r++) {
        const from = Math.floor((r * groups) / rows) * width;
        let sum = 0;
        for (let k = 0; k < width; k++) {
          sum += (left[row * groups * width + from + k] as number) * (w[r * width + k] as number);
        }
        const at = (Math.floor(row / places) * rows + r) * places + (row % places);
        expect(sum).toBeCloseTo(right[at] as number, 4);
      }
    }
  });
});
