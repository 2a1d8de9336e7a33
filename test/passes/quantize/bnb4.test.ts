// MatMulBnb4: against onnxruntime's own kernel, and against codes chosen by a plain search.

import { describe, expect, it } from '@jest/globals';
import { allGraphs, type Model, type Node } from '../../../src/graph/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import { quantizeBnb4 } from '../../../src/passes/quantize/bnb4.ts';
import type { Precision, QuantizeContext } from '../../../src/passes/quantize/context.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { NORMAL_FLOATS, packNormalFloats } from '../../../src/tensor/normal-float.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';

const run = createRunner();

function contextOf(kernels = ['MatMulBnb4'], float: readonly string[] = []) {
  const decided: [string, Precision, string | undefined][] = [];
  const context: QuantizeContext = {
    run,
    target: {
      name: 'cpu',
      isHere: true,
      exactProducts: true,
      has: (kernel) => kernels.includes(kernel),
    },
    seed: 0,
    wanted: (node: Node) => (float.includes(node.name) ? 'float' : undefined),
    decide: (node, precision, reason) => void decided.push([node.name, precision, reason]),
  };
  return { context, decided };
}

function normals(count: number): Float32Array {
  const random = new Random(1, 'normals');
  return Float32Array.from({ length: count }, () => random.normal());
}

const opsOf = (model: Model) =>
  [...allGraphs(model)].flatMap((graph) => [...graph.nodes].map(({ op }) => op)).sort();

describe('packNormalFloats', () => {
  const [K, N, block] = [7, 10, 16] as const;
  const values = normals(K * N);

  it('takes the nearest value of each block, in the order of the transposed weight', () => {
    const { codes, scales } = packNormalFloats(values, [K, N], false, block);
    const flat = Array.from({ length: K * N }, (_, i) => values[(i % K) * N + Math.floor(i / K)]);
    const largest = Array.from({ length: 5 }, (_, b) =>
      Math.max(...flat.slice(b * block, (b + 1) * block).map((x) => Math.abs(x ?? 0))),
    );
    expect([...scales]).toEqual(largest);
    flat.forEach((x, i) => {
      const code = ((codes[i >> 1] ?? 0) >> (i % 2 ? 0 : 4)) & 15;
      const distances = NORMAL_FLOATS.map((v) =>
        Math.abs(v - (x ?? 0) / (largest[Math.floor(i / block)] ?? 1)),
      );
      expect(distances[code]).toBeCloseTo(Math.min(...distances), 6);
    });
  });

  it('reads a transposed weight as it stands, and survives zeros and odd counts', () => {
    const transposed = Float32Array.from(
      values,
      (_, i) => values[(i % K) * N + Math.floor(i / K)] ?? 0,
    );
    expect(packNormalFloats(transposed, [K, N], true, block)).toEqual(
      packNormalFloats(values, [K, N], false, block),
    );
    const zeros = packNormalFloats(new Float32Array(3), [3, 1], false, 2);
    expect([[...zeros.codes], [...zeros.scales]]).toEqual([
      [0x77, 0x70],
      [0, 0],
    ]);
  });
});

/** What the weight has become, as numbers [K, N]. */
function restored(weight: Tensor, block: number, isTransposed: boolean): Tensor {
  const [rows = 0, columns = 0] = weight.shape;
  const [K, N] = isTransposed ? [columns, rows] : [rows, columns];
  const { codes, scales } = packNormalFloats(
    Float32Array.from(weight.numbers()),
    [K, N],
    isTransposed,
    block,
  );
  const values = new Float32Array(K * N);
  for (let i = 0; i < K * N; i++) {
    const code = ((codes[i >> 1] ?? 0) >> (i % 2 ? 0 : 4)) & 15;
    const at = isTransposed ? i : (i % K) * N + Math.floor(i / K);
    values[at] = (NORMAL_FLOATS[code] ?? 0) * (scales[Math.floor(i / block)] ?? 0);
  }
  return Tensor.of('float32', weight.shape, values);
}

describe('quantizeBnb4', () => {
  it.each([
    ['MatMul', 'x, w', [64, 24]],
    ['Gemm<transB = 1>', 'x, w, c', [24, 64]],
  ] as const)('computes what %s computes with the restored weight', async (op, inputs, shape) => {
    const text = `g (float[5, 64] x) => (float[5, 24] y)
      <float[${shape.join(', ')}] w = random, float[24] c = random> { [mul] y = ${op}(${inputs}) }`;
    const model = parseModel(text);
    inferTypes(model);
    const { context, decided } = contextOf();
    await quantizeBnb4(model, { block: 64 }, context);
    expect(decided).toEqual([['mul', 'int4', undefined]]);
    expect(opsOf(model)).toEqual(op === 'MatMul' ? ['MatMulBnb4'] : ['Add', 'MatMulBnb4']);
    expect([...model.graph.initializers].map(({ name }) => name)).not.toContain('w');

    const plain = parseModel(text);
    const weight = [...plain.graph.initializers].find(({ name }) => name === 'w');
    if (!weight?.data) throw new Error('no weight');
    plain.graph.setData(weight, restored(weight.data, 64, op !== 'MatMul'));
    const feeds = new Map([['x', Tensor.of('float32', [5, 64], normals(320))]]);
    const expected = (await run(plain, feeds)).get('y')?.numbers() ?? [];
    const actual = (await run(model, feeds)).get('y')?.numbers() ?? [];
    expect(actual).toHaveLength(120);
    actual.forEach((value, i) => void expect(value).toBeCloseTo(expected[i] ?? NaN, 3));
  });

  it('shares the codes of a shared weight, and reaches into branches', async () => {
    const model = parseModel(`<opset_import: ["": 17]>
      g (bool c, float[2, 8] x) => (float[2, 8] y) <float[8, 8] w = random> {
        a = MatMul(x, w)
        b = MatMul(a, w)
        y = If<
          then_branch = t () => (float[2, 8] p) { p = MatMul(b, w) },
          else_branch = e () => (float[2, 8] q) { q = Identity(b) }
        >(c)
      }`);
    inferTypes(model);
    const before = await run(model, feedsOf());
    const { context, decided } = contextOf();
    await quantizeBnb4(model, { block: 32 }, context);
    expect(decided.map(([, precision]) => precision)).toEqual(['int4', 'int4', 'int4']);
    expect(opsOf(model).filter((op) => op === 'MatMul')).toEqual([]);
    expect(model.graph.initializers.size).toBe(2);
    const after = await run(model, feedsOf());
    const [a, b] = [before.get('y')?.numbers() ?? [], after.get('y')?.numbers() ?? []];
    const dot = (u: number[], v: number[]) => u.reduce((sum, x, i) => sum + x * (v[i] ?? 0), 0);
    expect(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))).toBeGreaterThan(0.95);
  });

  it('says why a layer stays float', async () => {
    const model = parseModel(`g (float[2, 8] x, float[8, 8] v) => (float[2, 8] y, float[2, 8] z)
      <float[8, 8] w = random> {
        [open] a = MatMul(x, v)
        [chosen] b = MatMul(a, w)
        [scaled] y = Gemm<alpha = 0.5>(b, w)
        z = Neg(x)
      }`);
    inferTypes(model);
    const { context, decided } = contextOf(['MatMulBnb4'], ['chosen']);
    await quantizeBnb4(model, { block: 64 }, context);
    expect(decided).toEqual([
      ['open', 'float', 'its second operand is not constant'],
      ['chosen', 'float', 'it was chosen to stay float'],
      ['scaled', 'float', 'it scales or transposes its operands'],
    ]);
    const without = contextOf([]);
    const again = parseModel(
      'g (float[2, 8] x) => (y) <float[8, 8] w = random> { [m] y = MatMul(x, w) }',
    );
    await quantizeBnb4(again, { block: 64 }, without.context);
    expect(without.decided).toEqual([['m', 'float', 'cpu has no MatMulBnb4']]);
  });
});

function feedsOf() {
  return new Map([
    ['c', Tensor.of('bool', [], [1])],
    ['x', Tensor.of('float32', [2, 8], normals(16))],
  ]);
}
