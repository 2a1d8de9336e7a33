import { describe, expect, it } from '@jest/globals';
import { assumeSizes } from '../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { randomFeeds } from '../../src/data/random.ts';
import {
  Builder,
  Graph,
  Model,
  mul,
  symbol,
  tensorType,
  unknownDim,
} from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const OPSETS = new Map([['', 17]]);
const spec = (name: string, dtype: DType, ...shape: (number | string)[]) => ({
  name,
  dtype,
  shape: shape.map((dim) =>
    dim === '' ? unknownDim() : typeof dim === 'string' ? symbol(dim) : dim,
  ),
});
const valuesOf = (tensor: Tensor | undefined) =>
  tensor ? Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number) : [];

/** A model that looks ids up in a table of `rows`, after casts and reshapes. */
function embedding(rows: number): Model {
  const graph = new Graph('embedding');
  const g = new Builder(graph);
  const ids = g.input('input_ids', tensorType('int64', [symbol('batch'), symbol('sequence')]));
  g.input('attention_mask', tensorType('int64', [symbol('batch'), symbol('sequence')]));
  g.input('pixels', tensorType('float32', [symbol('batch'), 3, symbol('h'), symbol('w')]));
  const table = g.constant('table', Tensor.of('float32', [rows, 4], new Float32Array(rows * 4)));
  const flat = g.op('Reshape', [
    g.op('Cast', [ids], { to: 6 }),
    g.constant('s', Tensor.int64([-1])),
  ]);
  g.output(g.op('Gather', [table, flat]));
  return new Model(graph, OPSETS);
}

describe('assumeSizes', () => {
  it('gives each symbol one size, wherever it stands', () => {
    const { inputs, assumed } = assumeSizes(
      [
        spec('ids', 'int64', 'batch', 'sequence'),
        spec('mask', 'int64', 'batch', 'sequence'),
        { ...spec('cache', 'float32'), shape: [symbol('batch'), mul(symbol('sequence'), 2)] },
      ],
      { batch: 3, sizes: new Map([['sequence', 7]]) },
    );
    expect(inputs.map((input) => input.shape)).toEqual([
      [3, 7],
      [3, 7],
      [3, 14],
    ]);
    expect(assumed.size).toBe(0);
  });

  it('knows images, audio, caches and nameless batches, and says what it assumed', () => {
    const { inputs, assumed, hasBatch } = assumeSizes([
      spec('image', 'float32', '', 3, '', ''),
      spec('wave', 'float32', 'batch', 'samples'),
      spec('state', 'float32', 2, '', 128),
      spec('past', 'float16', 'batch', 12, 'past_length', 64),
    ]);
    expect(inputs.map((input) => input.shape)).toEqual([
      [1, 3, 224, 224],
      [1, 512],
      [2, 1, 128],
      [1, 12, 0, 64],
    ]);
    expect(hasBatch).toBe(true);
    expect(Object.fromEntries(assumed)).toEqual({
      'image.2': 224,
      'image.3': 224,
      samples: 512,
      past_length: 0,
    });
  });

  it('takes a size by input and axis', () => {
    const sizes = new Map([['image.2', 32]]);
    const { inputs } = assumeSizes([spec('image', 'float32', 1, 3, '', 64)], { sizes });
    expect(inputs[0]?.shape).toEqual([1, 3, 32, 64]);
  });
});

describe('randomFeeds', () => {
  it('keeps token ids inside the table they index, and masks at one', () => {
    const specs = inputSpecs(embedding(11));
    expect(specs[0]?.below).toBe(11);
    const { inputs } = assumeSizes(specs, {
      batch: 16,
      sizes: new Map([
        ['h', 8],
        ['w', 8],
      ]),
    });
    const feeds = randomFeeds(inputs, 1);
    const ids = valuesOf(feeds.get('input_ids'));
    expect(ids).toHaveLength(256);
    expect([Math.min(...ids), Math.max(...ids)]).toEqual([0, 10]);
    expect(new Set(valuesOf(feeds.get('attention_mask')))).toEqual(new Set([1]));
    const pixels = valuesOf(feeds.get('pixels'));
    expect(pixels.every((x) => x >= 0 && x < 1)).toBe(true);
    expect(pixels.reduce((a, b) => a + b) / pixels.length).toBeCloseTo(0.5, 1);
  });

  it('depends on seed, draw and name alone', () => {
    const { inputs } = assumeSizes([spec('a', 'float32', 64), spec('b', 'float32', 64)]);
    const [a, again, other, next] = [
      randomFeeds(inputs, 1),
      randomFeeds(inputs, 1),
      randomFeeds(inputs, 2),
      randomFeeds(inputs, 1, 1),
    ];
    expect(valuesOf(a?.get('a'))).toEqual(valuesOf(again?.get('a')));
    for (const different of [a?.get('b'), other?.get('a'), next?.get('a')]) {
      expect(valuesOf(different)).not.toEqual(valuesOf(a?.get('a')));
    }
  });

  it.each<DType>([
    'float16',
    'bfloat16',
    'float64',
    'int8',
    'uint8',
    'int64',
    'uint4',
    'float8e4m3fn',
    'bool',
    'complex64',
  ])('fills %s with finite values', (dtype) => {
    const { inputs } = assumeSizes([spec('x', dtype, 5, 3)]);
    const tensor = randomFeeds(inputs, 0).get('x');
    const values = valuesOf(tensor);
    expect(tensor?.dtype).toBe(dtype);
    expect(values).toHaveLength(dtype === 'complex64' ? 30 : 15);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(new Set(values).size).toBeGreaterThan(1);
  });

  it('fills strings with words', () => {
    const tensor = randomFeeds([{ ...spec('text', 'string'), shape: [3] }], 0).get('text');
    expect(tensor && 'strings' in tensor.source && tensor.source.strings.length).toBe(3);
  });
});
