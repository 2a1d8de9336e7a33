import { describe, expect, it } from '@jest/globals';
import { Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { createRunner, loadModel } from '../../src/runtime/runner.ts';
import { type DType, dtypeCode } from '../../src/tensor/dtype.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import { floatsToBfloat16s } from '../../src/tensor/float16.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const OPSETS = new Map([['', 21]]);
const run = createRunner();
const numbers = (tensor: Tensor | undefined) =>
  tensor ? Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number) : [];

/** y = (a + b) * c, z = b - c; with names for the inner values. */
function arithmetic(): Model {
  const graph = new Graph('arithmetic');
  const g = new Builder(graph);
  const type = tensorType('float32', [symbol('n')]);
  const [a, b] = [g.input('a', type), g.input('b', type)];
  const c = g.constant('c', Tensor.of('float32', [1], [10]));
  const sum = g.op('Add', [a, b], {}, { name: 'sum' });
  g.output(g.op('Mul', [sum, c], {}, { name: 'product' }), 'y');
  g.output(g.op('Sub', [b, c], {}, { name: 'difference' }), 'z');
  return new Model(graph, OPSETS, 10);
}

/** Casts its input to a type and hands that out. */
function castTo(dtype: DType, from: DType = 'float32'): Model {
  const graph = new Graph('cast');
  const g = new Builder(graph);
  const x = g.input('x', tensorType(from, [symbol('n')]));
  const y = g.op('Cast', [x], { to: dtypeCode(dtype) });
  y.type = tensorType(dtype, [symbol('n')]);
  g.output(y, 'y');
  return new Model(graph, OPSETS, 10);
}

const feeds = new Map([
  ['a', Tensor.of('float32', [2], [1, 2])],
  ['b', Tensor.of('float32', [2], [3, 5])],
]);

describe('createRunner', () => {
  it('computes all outputs', async () => {
    const results = await run(arithmetic(), feeds);
    expect([...results.keys()]).toEqual(['y', 'z']);
    expect(numbers(results.get('y'))).toEqual([40, 70]);
    expect(numbers(results.get('z'))).toEqual([-7, -5]);
  });

  it('computes only what is wanted, from only what that needs', async () => {
    const b = new Map([...feeds].filter(([name]) => name === 'b'));
    const results = await run(arithmetic(), b, ['z']);
    expect([...results.keys()]).toEqual(['z']);
    expect(numbers(results.get('z'))).toEqual([-7, -5]);
  });

  it('gives inner values, inputs and constants', async () => {
    const model = arithmetic();
    const results = await run(model, feeds, ['sum_output', 'a', 'c']);
    expect(numbers(results.get('sum_output'))).toEqual([4, 7]);
    expect(numbers(results.get('a'))).toEqual([1, 2]);
    expect(numbers(results.get('c'))).toEqual([10]);
    // The model itself is untouched.
    expect(model.graph.outputs.map((value) => value.name)).toEqual(['y', 'z']);
    expect(model.graph.nodeCount).toBe(3);
  });

  it('says which value is not there', async () => {
    await expect(run(arithmetic(), feeds, ['nowhere'])).rejects.toMatchObject({
      kind: 'model',
      code: 'unknown-value',
      message: expect.stringContaining('"nowhere"'),
    });
  });

  it('names the node that fails', async () => {
    const wrong = new Map([...feeds, ['b', Tensor.of('float32', [3], [1, 2, 3])]]);
    await expect(run(arithmetic(), wrong)).rejects.toMatchObject({
      kind: 'model',
      code: 'runtime',
      where: expect.stringContaining('"sum"'),
      message: expect.not.stringMatching(/onnxruntime_src|\.cc:|\.h:|Status Message/),
    });
  });

  it.each<[DType, number[]]>([
    ['bfloat16', [1.5, -2, 0, 3e38]],
    ['float16', [1.5, -2, 0, 65504]],
    ['float8e4m3fn', [1.5, -2, 0, 448]],
    ['float8e5m2', [1.5, -2, 0, 57344]],
    ['int4', [1, -8, 0, 7]],
    ['uint4', [1, 15, 0, 7]],
    ['float64', [1.5, -2, 0, 9]],
  ])('hands over %s outputs exactly', async (dtype, values) => {
    const bfloat = dtype === 'bfloat16' ? floatsToBfloat16s(values) : undefined;
    const exact = bfloat ? numbers(Tensor.of('bfloat16', [4], bfloat)) : values;
    const results = await run(castTo(dtype), new Map([['x', Tensor.of('float32', [4], exact)]]));
    expect(results.get('y')?.dtype).toBe(dtype);
    expect(numbers(results.get('y'))).toEqual(exact);
  });

  it.each<[DType, Uint8Array]>([
    ['bfloat16', new Uint8Array(floatsToBfloat16s([1.5, -2, 0.25]).buffer)],
    ['float8e4m3fn', Uint8Array.of(0x3c, 0xc0, 0x28)],
    ['int4', Uint8Array.of(0x8f, 0x07)],
  ])('takes %s inputs', async (dtype, bytes) => {
    const x = Tensor.fromBytes(dtype, [3], bytes);
    const results = await run(castTo('float32', dtype), new Map([['x', x]]));
    expect(numbers(results.get('y'))).toEqual(numbers(x));
  });

  it('carries strings, booleans, 64-bit integers and empty tensors', async () => {
    const graph = new Graph('types');
    const g = new Builder(graph);
    for (const dtype of ['string', 'bool', 'int64', 'uint64'] as const) {
      const type = tensorType(dtype, [symbol(dtype)]);
      const value = g.op('Identity', [g.input(dtype, type)]);
      value.type = type;
      g.output(value, `${dtype}_out`);
    }
    const encoder = new TextEncoder();
    const words = ['', 'Zürich', 'x'].map((word) => encoder.encode(word));
    const big = new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]);
    const results = await run(
      new Model(graph, OPSETS, 10),
      new Map([
        ['string', Tensor.strings([3], words)],
        ['bool', Tensor.of('bool', [2], [1, 0])],
        ['int64', Tensor.of('int64', [2], big)],
        ['uint64', Tensor.of('uint64', [0], [])],
      ]),
    );
    const strings = results.get('string_out')?.source;
    expect(
      strings && 'strings' in strings && strings.strings.map((s) => Buffer.from(s).toString()),
    ).toEqual(['', 'Zürich', 'x']);
    expect(numbers(results.get('bool_out'))).toEqual([1, 0]);
    expect(results.get('int64_out')?.values()).toEqual(big);
    expect(results.get('uint64_out')?.shape).toEqual([0]);
  });

  it('computes quantised products as written', async () => {
    // DequantizeLinear + MatMul, which onnxruntime would fuse into MatMulNBits and compute in int8.
    const graph = new Graph('quantised');
    const g = new Builder(graph);
    const x = g.input('x', tensorType('float32', [1, 32]));
    const codes = Tensor.fromBytes('int4', [32, 16], new Uint8Array(256).fill(0x21));
    const scale = Tensor.of('float32', [2, 16], new Float32Array(32).fill(0.1));
    const w = g.op('DequantizeLinear', [g.constant('w', codes), g.constant('s', scale)], {
      axis: 0,
      block_size: 16,
    });
    const y = g.output(g.op('MatMul', [x, w]), 'y');
    y.type = tensorType('float32', [1, 16]);
    const input = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i + 1));
    const results = await run(
      new Model(graph, OPSETS, 10),
      new Map([['x', Tensor.of('float32', [1, 32], input)]]),
    );
    const sum = input.reduce((a, b) => a + b) * 0.1;
    numbers(results.get('y')).forEach((value, i) => {
      expect(value).toBeCloseTo(sum * (i % 2 === 0 ? 1 : 2), 5);
    });
  });
});

describe('loadModel', () => {
  it('runs many times and leaves out outputs that were not asked for', async () => {
    const loaded = await loadModel(arithmetic());
    const first = await loaded.run(feeds, ['z']);
    expect([...first.keys()]).toEqual(['z']);
    const second = await loaded.run(feeds);
    expect(numbers(second.get('y'))).toEqual([40, 70]);
    await loaded.dispose();
  });
});
