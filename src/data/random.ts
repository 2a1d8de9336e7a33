// Seeded noise in the shape of a model's inputs: floats standard normal (images uniform in [0, 1)),
// token ids inside the vocabulary, masks of ones.

import { type DType, dtypeInfo, elementCount, isInteger } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { floatsToBfloat16s, floatsToHalves } from '../tensor/float16.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { SizedInput } from './inputs.ts';

const SAMPLE_RATE = 16_000;
const WORDS = ['north', 'river', 'seven', 'quiet', 'amber', 'signal', 'stone', 'Zürich'];

/** One tensor per input. `draw` tells batches of one seed apart. */
export function randomFeeds(inputs: readonly SizedInput[], seed: number, draw = 0): Feeds {
  const longest = Math.max(1, ...inputs.flatMap((input) => [...input.shape]));
  return new Map(
    inputs.map((input) => {
      const random = new Random(seed, `${input.name}/${draw}`);
      return [input.name, randomTensor(input, random, longest)];
    }),
  );
}

function randomTensor(input: SizedInput, random: Random, longest: number): Tensor {
  const { dtype, shape, name } = input;
  const count = elementCount(shape);
  const { kind, bits, array } = dtypeInfo(dtype);
  if (kind === 'string') {
    const encoder = new TextEncoder();
    const word = () => encoder.encode(WORDS[random.integer(WORDS.length)]);
    return Tensor.strings(shape, Array.from({ length: count }, word));
  }
  if (bits < 8 || (kind === 'float' && bits === 8)) return randomBits(dtype, shape, random);
  const draw = sampler(input, random, longest);
  if (kind === 'float' || kind === 'complex') {
    const values = new Float64Array(kind === 'complex' ? count * 2 : count).map(draw);
    return Tensor.of(dtype, shape, floatsAs(dtype, values));
  }
  const values = new array(count);
  const wide = values instanceof BigInt64Array || values instanceof BigUint64Array;
  for (let i = 0; i < count; i++) values[i] = (wide ? BigInt(draw()) : draw()) as never;
  if (/position/i.test(name) && input.below !== undefined) countUp(values, input);
  return Tensor.of(dtype, shape, values);
}

/** Values of one input, one by one. */
function sampler(input: SizedInput, random: Random, longest: number): () => number {
  const { dtype, shape, name, below } = input;
  if (/mask/i.test(name)) return () => 1;
  if (dtype === 'bool') return () => random.integer(2);
  if (!isInteger(dtype)) {
    return shape.length >= 4 ? () => random.uniform() : () => random.normal();
  }
  if (below !== undefined) return () => random.integer(Math.min(below, largest(dtype) + 1));
  if (/^sr$|sample_?rate/i.test(name)) return () => SAMPLE_RATE;
  if (/len(gth)?s?$/i.test(name)) return () => Math.min(longest, largest(dtype));
  if (dtype === 'uint8') return () => random.integer(256);
  if (dtype === 'int8') return () => random.integer(256) - 128;
  return () => random.integer(2);
}

/** Positions count along the last axis. */
function countUp(values: { [index: number]: number | bigint; length: number }, input: SizedInput) {
  const period = input.shape.at(-1) ?? 1;
  const below = input.below ?? period;
  for (let i = 0; i < values.length; i++) {
    const position = (i % period) % below;
    values[i] = typeof values[i] === 'bigint' ? BigInt(position) : position;
  }
}

function largest(dtype: DType): number {
  const { bits, kind } = dtypeInfo(dtype);
  return Math.min(2 ** (kind === 'int' ? bits - 1 : bits) - 1, Number.MAX_SAFE_INTEGER);
}

function floatsAs(dtype: DType, values: Float64Array): ArrayLike<number> {
  if (dtype === 'float16') return floatsToHalves(values);
  if (dtype === 'bfloat16') return floatsToBfloat16s(values);
  return values;
}

/** Packed integers of any bits; 8- and 4-bit floats of small magnitude, where no code is a NaN. */
function randomBits(dtype: DType, shape: readonly number[], random: Random): Tensor {
  const { kind, bits } = dtypeInfo(dtype);
  const mask = kind === 'float' && bits === 8 ? 0x3f : 0xff;
  const bytes = new Uint8Array(Math.ceil((elementCount(shape) * bits) / 8));
  return Tensor.fromBytes(
    dtype,
    shape,
    bytes.map(() => random.integer(256) & mask),
  );
}
