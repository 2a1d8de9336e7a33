import { expect, it } from '@jest/globals';
import type { Model } from '../../../src/graph/index.ts';
import { parseRecipe, printRecipe, unknownLayers } from '../../../src/passes/quantize/recipe.ts';
import type { Settings } from '../../../src/passes/quantize/settings.ts';
import { parseModel } from '../../helpers/parse.ts';

const settings: Settings = {
  mode: 'static',
  bits: 8,
  activations: 'uint8',
  weights: 'int8',
  perChannel: true,
  format: 'qdq',
  block: 32,
  algorithm: 'rtn',
  keepIo: true,
  improvements: ['smooth-quant'],
};

it('reads what it wrote, layers in the order of their names', () => {
  const recipe = { settings, layers: new Map([['z', 'float'] as const, ['a', 'int4'] as const]) };
  const text = printRecipe(recipe);
  const read = parseRecipe(text, 'r.json');
  expect(read.settings).toEqual(settings);
  expect([...read.layers]).toEqual([
    ['a', 'int4'],
    ['z', 'float'],
  ]);
  expect(printRecipe(read)).toBe(text);
});

it.each([
  ['{', 'not JSON'],
  ['{"layers": {}}', 'not a recipe'],
  ['{"kind":"xform-quantize-recipe","version":9}', 'version is 9'],
  ['{"kind":"xform-quantize-recipe","version":1,"settings":{"mode":"int3"}}', '"int3"'],
  [
    '{"kind":"xform-quantize-recipe","version":1,"settings":{"mode":"static"},"layers":{"a":"x"}}',
    'layer "a" is to be "x"',
  ],
])('refuses %s', (text, problem) => {
  expect(() => parseRecipe(text, 'r.json')).toThrow(problem);
});

it('names layers that a model does not have', () => {
  const model: Model = parseModel('g (float[2] x) => (float[2] y) { y = Relu(x) }');
  const layers = new Map([['y', 'float'] as const, ['gone', 'float'] as const]);
  expect(unknownLayers({ settings, layers }, model)).toEqual(['gone']);
});
