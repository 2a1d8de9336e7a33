// Numbers in [0, 1) that depend on place and step alone: the digits of a sine far down. Written with
// standard operators, so that they are the same in every run.

import type { Value } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Formula } from './formula.ts';

const GOLDEN = 0.618_033_988_75;
const PLASTIC = 0.754_877_666_25;

/** In the shape of `like`, another for every `count` (float64). */
export function noise(f: Formula, like: Value, count: Value): Value {
  const shape = (like.shape ?? []).map(Number);
  const size = shape.reduce((a, b) => a * b, 1);
  const places = Float32Array.from({ length: size }, (_, i) => (i * GOLDEN) % 1);
  const place = f.g.constant('places', Tensor.of('float32', shape, places));
  const part = f.op('Mod', [f.mul(count, PLASTIC), f.number(1, 'float64')], { fmod: 1 });
  const turn = f.cast(part, 'float32');
  const angle = f.add(f.mul(place, 78.233), f.mul(turn, 12.9898));
  const far = f.mul(f.op('Sin', [f.mul(angle, 37.719)]), 43758.547);
  return f.sub(far, f.op('Floor', [far]));
}
