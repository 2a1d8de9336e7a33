// Openings of activations. Source: onnxruntime docs/ContribOperators.md.

import { attr, type Value } from '../../graph/index.ts';
import type { Openable, Opening } from './openable.ts';

const gelu = (o: Openable, x: Value, approximate: 'none' | 'tanh') => [
  o.op('Gelu', [x], { approximate }),
];

/** x σ(αx). */
function quickGelu(o: Openable): Value[] {
  const x = o.x(0);
  const inner = o.f.mul(x, o.node.float('alpha', 1.702));
  return [o.f.mul(x, o.op('Sigmoid', [inner]))];
}

/** Named activations of fused products, with their parameters in order. */
export function activated(o: Openable, y: Value, name: string, given: readonly number[]): Value {
  const number = (i: number, otherwise: number) => given[i] ?? otherwise;
  const float = (i: number, otherwise: number) => attr.float(number(i, otherwise));
  switch (name) {
    case '':
      return y;
    case 'Relu':
    case 'Tanh':
    case 'Sigmoid':
    case 'Softplus':
    case 'Softsign':
      return o.op(name, [y]);
    case 'LeakyRelu':
      return o.op(name, [y], { alpha: float(0, 0.01) });
    case 'Elu':
      return o.op(name, [y], { alpha: float(0, 1) });
    case 'ThresholdedRelu':
      return o.op(name, [y], { alpha: float(0, 1) });
    case 'HardSigmoid':
      return o.op(name, [y], { alpha: float(0, 0.2), beta: float(1, 0.5) });
    case 'Clip':
      return o.f.min(o.f.max(y, number(0, -3.4e38)), number(1, 3.4e38));
    default:
      return o.unknown(`${o.node.op} with the activation "${name}"`);
  }
}

export const activations: Readonly<Record<string, Opening>> = {
  'com.microsoft:Gelu': (o) => gelu(o, o.x(0), 'none'),
  'com.microsoft:BiasGelu': (o) => gelu(o, o.f.add(o.x(0), o.x(1)), 'none'),
  'com.microsoft:FastGelu': (o) => gelu(o, o.plus(o.x(0), o.optional(1)), 'tanh'),
  'com.microsoft:QuickGelu': quickGelu,
};
