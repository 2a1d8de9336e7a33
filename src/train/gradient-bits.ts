// Gradients in few bits, as they are sent between machines: stochastic rounding keeps their mean, and
// what is rounded away is added to the next gradient (error feedback; Seide et al. 2014, Alistarh et
// al. 2017).

import type { Value } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Formula } from './formula.ts';

/** The gradient as the other side would see it, and what is left for the next step. */
export function roundGradient(
  f: Formula,
  gradient: Value,
  residue: Value,
  bits: number,
  count: Value,
): { gradient: Value; residue: Value } {
  const whole = f.add(gradient, residue);
  const levels = 2 ** (bits - 1) - 1;
  const largest = f.op('ReduceMax', [f.op('Abs', [whole])], { keepdims: 0 });
  const scale = f.max(f.div(largest, levels), 1e-38);
  const steps = f.op('Floor', [f.add(f.div(whole, scale), noise(f, gradient, count))]);
  const rounded = f.mul(f.max(f.min(steps, levels), -levels), scale);
  return { gradient: rounded, residue: f.sub(whole, rounded) };
}

/** Numbers in [0, 1) that depend on place and step alone: the digits of a sine far down. */
function noise(f: Formula, like: Value, count: Value): Value {
  const shape = (like.shape ?? []).map(Number);
  const size = shape.reduce((a, b) => a * b, 1);
  const places = Float32Array.from({ length: size }, (_, i) => (i * 0.618_033_988_75) % 1);
  const place = f.g.constant('places', Tensor.of('float32', shape, places));
  const turn = f.cast(
    f.op('Mod', [f.mul(count, 0.754_877_666_25), f.number(1, 'float64')], { fmod: 1 }),
    'float32',
  );
  const far = f.mul(
    f.op('Sin', [f.mul(f.add(f.mul(place, 78.233), f.mul(turn, 12.9898)), 37.719)]),
    43758.547,
  );
  return f.sub(far, f.op('Floor', [far]));
}
