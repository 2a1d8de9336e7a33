// Which nodes a pattern of the command line means.

import { expect, it } from '@jest/globals';
import type { Node } from '../../src/graph/index.ts';
import { parsePattern } from '../../src/passes/select.ts';
import { parseModel } from '../helpers/parse.ts';

const { graph } = parseModel(`
g (float[2, 4] x) => (float[2, 3] y) <float[4, 3] layer1.weight = random, float[3] head.bias = random>
{
  h = MatMul(x, layer1.weight)
  y = Add(h, head.bias)
}`);
const [product, sum] = [...graph.nodes] as [Node, Node];
product.name = 'MatMul_0';

it.each([
  ['MatMul_0', [product]],
  ['MatMul_?', [product]],
  ['h', [product]],
  ['layer1*', [product]],
  ['layer1', []],
  ['head.*', [sum]],
  ['op:Add', [sum]],
  ['op:layer1*', []],
  ['re:^(layer1|head)\\.', [product, sum]],
  ['x', []],
])('%s', (text, expected) => {
  const pattern = parsePattern(text);
  expect([...graph.nodes].filter((node) => pattern.matches(node))).toEqual(expected);
});
