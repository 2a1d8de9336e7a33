// How weights begin. A weight is a derived tensor: its numbers are drawn when the writer reaches it,
// from a generator of its own (seed and name), so that a model of any size streams to disk and one
// weight's numbers do not depend on the others.
// Sources: He et al. 2015 (Kaiming), Glorot and Bengio 2010 (Xavier), BERT and GPT-2 (normal 0.02).

import { elementCount } from '../tensor/dtype.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Fills a weight; `shape` is for those that look at the number of inputs and outputs. */
export type Initializer = (values: Float32Array, random: Random, shape: readonly number[]) => void;

export function initialized(
  shape: readonly number[],
  initializer: Initializer,
  seed: number,
  name: string,
): Tensor {
  const size = elementCount(shape);
  return new Tensor('float32', shape, {
    byteLength: size * Float32Array.BYTES_PER_ELEMENT,
    compute: async () => {
      const values = new Float32Array(size);
      initializer(values, new Random(seed, name), shape);
      return new Uint8Array(values.buffer);
    },
  });
}

export const zeros: Initializer = () => {};

export const ones: Initializer = (values) => {
  values.fill(1);
};

export function normal(deviation: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) values[i] = random.normal() * deviation;
  };
}

/** Normal, drawn again beyond two deviations (TensorFlow's `truncated_normal`). */
export function truncatedNormal(deviation: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) values[i] = random.truncatedNormal() * deviation;
  };
}

export function uniform(bound: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) values[i] = (random.uniform() * 2 - 1) * bound;
  };
}

/**
 * Kaiming's normal distribution: keeps the variance through a ReLU, of activations (`in`) or of
 * gradients (`out`). The weight is [M, C / groups, kernel…] or [M, C].
 */
export function kaimingNormal(fan: 'in' | 'out', groups = 1): Initializer {
  return (values, random, shape) => {
    const [outputs = 1, inputs = 1, ...kernel] = shape;
    const count = (fan === 'in' ? inputs : outputs / groups) * elementCount(kernel);
    normal(Math.sqrt(2 / count))(values, random, shape);
  };
}

/** Xavier's uniform distribution: for layers without a ReLU behind them. */
export const xavierUniform: Initializer = (values, random, shape) => {
  const [outputs = 1, inputs = 1, ...kernel] = shape;
  const bound = Math.sqrt(6 / ((inputs + outputs) * elementCount(kernel)));
  uniform(bound)(values, random, shape);
};
