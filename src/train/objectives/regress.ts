// Distances between outputs and numbers: regression, and autoencoders, whose target is their input.

import { notAutoencoder } from '../../errors/train.ts';
import type { Value } from '../../graph/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import type { Formula } from '../formula.ts';
import { type Judged, meanOf, type Objective, type ObjectiveSettings } from './objective.ts';

const sampleShape = (value: Value | undefined) => (value?.shape ?? []).slice(1).map(Number);

/** Distance of each sample, [N]: the mean over its elements. */
function distances(f: Formula, a: Value, b: Value, s: ObjectiveSettings): Value {
  const difference = f.sub(a, b);
  const size = f.op('Abs', [difference]);
  const square = f.mul(f.square(difference), s.distance === 'huber' ? 0.5 : 1);
  const straight = f.mul(f.sub(size, s.delta / 2), s.delta);
  const losses =
    s.distance === 'mae'
      ? size
      : s.distance === 'mse'
        ? square
        : f.where(f.less(size, s.delta), square, straight);
  const axes = (a.shape ?? []).slice(1).map((_, i) => i + 1);
  return axes.length > 0 ? f.mean(losses, axes) : losses;
}

function judge(
  f: Formula,
  a: Value,
  b: Value,
  settings: ObjectiveSettings,
  real: Value | undefined,
): Judged {
  const of = (distance: 'mse' | 'mae') =>
    meanOf(f, distances(f, a, b, { ...settings, distance }), real);
  return {
    loss: meanOf(f, distances(f, a, b, settings), real),
    metrics: new Map([
      ['mae', of('mae')],
      ['mse', of('mse')],
    ]),
  };
}

export const regress: Objective = {
  summary: 'distance to numbers (--distance mse, mae, huber)',
  targets: ({ outputs: [output] }) => [
    { name: 'labels', dtype: 'float32', shape: sampleShape(output) },
  ],
  build({ f, outputs, target, settings, real }) {
    return judge(f, outputs[0] as Value, target('labels'), settings, real);
  },
};

export const reconstruct: Objective = {
  summary: 'distance of the output to the input: an autoencoder',
  targets: () => [],
  build({ f, inputs, outputs, settings, real }) {
    const output = outputs[0] as Value;
    const shape = (output.shape ?? []).map(Number);
    const floats = inputs.filter(({ dtype }) => dtype && isFloat(dtype));
    const size = (value: Value) =>
      (value.shape ?? []).reduce<number>((n, dim) => n * Number(dim), 1);
    const input = floats.find((value) => size(value) === size(output));
    if (!input) {
      const found = floats.map(({ name, shape }) => `"${name}" [${shape?.join(', ')}]`);
      throw notAutoencoder(output.name, `[${shape.join(', ')}]`, found);
    }
    return judge(f, output, f.reshape(input, shape), settings, real);
  },
};
