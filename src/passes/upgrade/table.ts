// All adapters, by operator and version.

import { skip } from '../pass.ts';
import type { Adapter, Adapters } from './adapter.ts';
import { elementwise } from './elementwise.ts';
import { layout } from './layout.ts';
import { legacy } from './legacy.ts';
import { norm } from './norm.ts';
import { recurrent } from './recurrent.ts';
import { reduce } from './reduce.ts';
import { resize } from './resize.ts';
import { softmax } from './softmax.ts';

/** The version means the same, but onnxruntime's CPU provider has no kernel for it. */
const unrunnable: Adapter = () => skip('onnxruntime 1.30 does not run it beyond opset 21');

/** What version 22 made unrunnable. */
export const UNRUNNABLE = [
  'Bernoulli',
  'GlobalLpPool',
  'MaxRoiPool',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'RoiAlign',
];

const CHANGED: Adapters = {
  ...elementwise,
  ...layout,
  ...legacy,
  ...norm,
  ...recurrent,
  ...reduce,
  ...resize,
  ...softmax,
};

export const ADAPTERS: Adapters = {
  ...CHANGED,
  ...Object.fromEntries(UNRUNNABLE.map((op) => [op, { ...CHANGED[op], 22: unrunnable }])),
};
