// Reductions: the axes came to be an input, of ReduceSum first.

import type { Adapters } from './adapter.ts';
import { intsToInput } from './attributes.ts';

const axes = intsToInput('axes', 1);

const LATE = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSumSquare',
];

export const reduce: Adapters = {
  ReduceSum: { 13: axes },
  ...Object.fromEntries(LATE.map((op) => [op, { 18: axes }])),
  DFT: {
    // The axis had another default.
    20(node, c) {
      node.setInput(2, c.int(node.int('axis', 1)));
      node.setAttr('axis', undefined);
      return true;
    },
  },
};
