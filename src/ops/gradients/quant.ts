// Gradients of quantisation, straight through (Bengio et al. 2013, Jacob et al. 2018): an integer
// stands for the real number that it rounds, so what comes back passes as if nothing had been rounded,
// where the number was not cut off. What both rules say about the scale adds up to the gradient of
// learned step sizes (Esser et al. 2020, LSQ, equation 3): round(x/s) - x/s inside the range of the
// codes, its bound outside.

import type { Value } from '../../graph/index.ts';
import type { DType } from '../../tensor/dtype.ts';
import { type GradientContext, gradients } from '../gradient.ts';

type C = GradientContext;

/** The largest number of steps either way. */
const LIMITS: Partial<Record<DType, readonly [number, number]>> = {
  int2: [-2, 1],
  uint2: [0, 3],
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  float8e4m3fn: [-448, 448],
  float8e5m2: [-57344, 57344],
};

/** Scale or zero point of one axis, standing beside the data `x`. */
function beside(c: C, x: Value, parameter: Value): Value {
  if (c.rank(parameter) === 0) return parameter;
  if (c.node.int('block_size', 0) !== 0) c.unsupported(`${c.node.op} in blocks`);
  const rank = c.rank(x);
  const given = c.node.int('axis', 1);
  const axis = given < 0 ? given + rank : given;
  if (c.staticShape(parameter)?.[0] === 1) return c.op('Reshape', [parameter, c.ints([1])]);
  const others = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis);
  return c.op('Unsqueeze', [parameter, c.ints(others)]);
}

/** What each element says about its scale, in the shape of the scale. */
function toScale(c: C, each: Value, stretched: Value): Value {
  return c.reshapeLike(c.sumTo(each, stretched), c.x(1));
}

/** dy where the number of steps has its place in the integer type. */
function quantize(c: C): (Value | undefined)[] {
  const [low, high] =
    LIMITS[c.y().dtype ?? 'uint8'] ?? c.unsupported(`${c.node.op} to ${c.y().dtype}`);
  const scale = beside(c, c.x(), c.x(1));
  const real = c.div(c.x(), scale);
  const steps = c.op('Round', [real]);
  const code = c.has(2) ? c.add(steps, c.op('CastLike', [beside(c, c.x(), c.x(2)), steps])) : steps;
  const above = c.op('GreaterOrEqual', [code, c.scalar(low, code)]);
  const below = c.op('LessOrEqual', [code, c.scalar(high, code)]);
  const dx = c.mul(c.dy(), c.mask(c.op('And', [above, below]), c.dy()));
  return [dx, c.when(1, () => c.neg(toScale(c, c.mul(dx, real), scale)))];
}

gradients({
  QuantizeLinear: { straightThrough: quantize },
  // The scale covers all of the data.
  DynamicQuantizeLinear: { straightThrough: (c) => [c.dy()] },
  // y = (q - z) s
  DequantizeLinear: (c) => [
    c.dy(),
    c.when(1, () => {
      const scale = beside(c, c.y(), c.x(1));
      return c.div(toScale(c, c.mul(c.dy(), c.y()), scale), c.x(1));
    }),
  ],
});
