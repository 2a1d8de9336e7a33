// Weights that several nodes read: tied embeddings, copies, branches, functions; and what stays float.

import { describe, expect, it } from '@jest/globals';
import type { Model } from '../../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../../src/onnx/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import { quantizeWeights, type WeightsOptions } from '../../../src/passes/quantize/weights.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import {
  type ContextParts,
  contextOf,
  largestDifference,
  nodesOf,
  normals,
  opsOf,
  restoreWeights,
} from './weights-helper.ts';

const run = createRunner();

async function quantized(
  text: string,
  options: Partial<WeightsOptions> = {},
  parts: ContextParts = {},
) {
  const model = parseModel(text);
  inferTypes(model);
  const { context, decided } = contextOf(run, parts);
  const base = { bits: 4, block: 32, symmetric: true, format: 'auto', algorithm: 'rtn' } as const;
  await quantizeWeights(model, { ...base, ...options }, context);
  inferTypes(model);
  return { model, decided };
}

const IDS = new Map([['ids', Tensor.int64([3, 0, 49, 7])]]);

async function result(model: Model, feeds = IDS): Promise<number[]> {
  return (await run(model, feeds)).get('y')?.numbers() ?? [];
}

const sizes = (model: Model) =>
  [...model.graph.initializers].filter((v) => (v.data?.byteLength ?? 0) > 256).map((v) => v.name);

const TIED = `g (int64[4] ids) => (float[4, 50] y) <float[50, WIDTH] w = random> {
  [pick] e = Gather(w, ids)
  t = Transpose<perm = [1, 0]>(w)
  [head] y = MatMul(e, t)
}`;

describe('weights that are shared', () => {
  it.each([64, 70])('a tied embedding of width %d is stored once', async (width) => {
    for (const [bits, symmetric] of [
      [8, true],
      [4, true],
      [4, false],
      [2, true],
      [2, false],
    ] as const) {
      const { model, decided } = await quantized(TIED.replace('WIDTH', `${width}`), {
        bits,
        symmetric,
      });
      expect(decided).toEqual([
        ['pick', `int${bits}`, undefined],
        ['head', `int${bits}`, undefined],
      ]);
      expect(sizes(model).filter((name) => /_Q\d$/.test(name))).toEqual([`w_Q${bits}`]);
      expect(opsOf(model)).not.toContain('Transpose');
      const actual = await result(model);
      const weights = await restoreWeights(model);
      expect([...weights.keys()]).toHaveLength(2);
      expect(largestDifference(actual, await result(model))).toBeLessThan(1e-3);
    }
  });

  it.each([
    [8, ['DequantizeLinear', 'DequantizeLinear', 'Gather', 'Gather', 'MatMul', 'Transpose']],
    [4, ['DequantizeLinear', 'GatherBlockQuantized', 'MatMul', 'Transpose']],
  ] as const)('so it is behind DequantizeLinear, %d bits', async (bits, ops) => {
    const text = TIED.replace('WIDTH', '64');
    const { model } = await quantized(text, { bits, format: 'qdq' });
    expect(opsOf(model)).toEqual(ops);
    expect(sizes(model)).toEqual([`w_Q${bits}`, `w_Q${bits}_scales`]);
    const [plain, actual] = [await result(parseModel(text)), await result(model)];
    expect(largestDifference(plain, actual)).toBeLessThan(bits === 8 ? 1 : 12);
    expect(largestDifference(plain, actual)).toBeGreaterThan(0);
  });

  it('picks rows of 8 bits with scales per row where nothing picks 4', async () => {
    const { model, decided } = await quantized(
      TIED.replace('WIDTH', '64'),
      {
        block: 'channel',
      },
      { has: (kernel) => !kernel.startsWith('Gather') },
    );
    expect(decided[0]).toEqual(['pick', 'int8', 'cpu picks no rows of 4 bits: 8 instead']);
    expect(opsOf(model)).toEqual([
      'DequantizeLinear',
      'DequantizeLinear',
      'Gather',
      'Gather',
      'MatMul',
      'Transpose',
      'Unsqueeze',
    ]);
    const plain = await result(parseModel(TIED.replace('WIDTH', '64')));
    expect(largestDifference(plain, await result(model))).toBeLessThan(12);
  });

  it('stores copies once, in branches and around them', async () => {
    const text = `<opset_import: ["": 17]> g (bool c, float[2, 64] x) => (float[2, 64] y)
      <float[64, 64] w = random> {
        a = MatMul(x, w)
        y = If<
          then_branch = t () => (float[2, 64] p) { p = MatMul(a, w) },
          else_branch = e () => (float[2, 64] q) <float[64, 64] v = random> { q = MatMul(a, v) }
        >(c)
      }`;
    const model = parseModel(text);
    const branch = nodesOf(model, 'If')[0]?.subgraph('else_branch');
    const [copy] = branch?.initializers ?? [];
    const w = [...model.graph.initializers][0]?.data;
    if (!branch || !copy || !w) throw new Error('the fixture has no copy');
    branch.setData(copy, Tensor.fromBytes('float32', w.shape, w.bytes().slice()));
    inferTypes(model);
    const { context, decided } = contextOf(run);
    const options = {
      bits: 8,
      block: 32,
      symmetric: true,
      format: 'auto',
      algorithm: 'rtn',
    } as const;
    await quantizeWeights(model, options, context);
    expect(decided.map(([, precision]) => precision)).toEqual(['int8', 'int8', 'int8']);
    expect([...model.graph.initializers].map(({ name }) => name)).toEqual(['w_Q8', 'w_Q8_scales']);
    expect(branch.initializers.size).toBe(0);
    const plain = parseModel(
      text.replace('<float[64, 64] v = random> { q = MatMul(a, v) }', '{ q = MatMul(a, w) }'),
    );
    for (const c of [0, 1]) {
      const feeds = new Map([
        ['c', Tensor.of('bool', [], [c])],
        ['x', Tensor.of('float32', [2, 64], normals(128))],
      ]);
      const written = decodeModel(await encodeModel(model));
      const worst = largestDifference(await result(plain, feeds), await result(written, feeds));
      expect(worst).toBeLessThan(6);
      expect(worst).toBeGreaterThan(0);
    }
  });

  it('quantises the constants of functions', async () => {
    const values = [...normals(1024)].map((x) => x.toFixed(4)).join(', ');
    const model = parseModel(`<opset_import: ["": 17, "own": 1]>
      g (float[2, 32] x) => (float[2, 32] y) { y = own.Layer(x) }
      <domain: "own", opset_import: ["": 17]> Layer (u) => (v) {
        w = Constant<value = float[32, 32] {${values}}>()
        v = MatMul(u, w)
      }`);
    inferTypes(model);
    const feeds = new Map([['x', Tensor.of('float32', [2, 32], normals(64, 2))]]);
    const plain = await result(model, feeds);
    const { context, decided } = contextOf(run);
    await quantizeWeights(
      model,
      { bits: 8, block: 32, symmetric: true, format: 'auto', algorithm: 'rtn' },
      context,
    );
    expect(decided).toEqual([['', 'int8', undefined]]);
    const written = decodeModel(await encodeModel(model));
    const worst = largestDifference(plain, await result(written, feeds));
    expect(worst).toBeLessThan(0.3);
    expect(worst).toBeGreaterThan(0);
  });
});

describe('convolutions', () => {
  const text = `g (float[1, 16, 9, 9] x) => (float[1, 32, 9, 9] y) <float[32, 16, 3, 3] w = random> {
    [c] y = Conv<pads = [1, 1, 1, 1]>(x, w)
  }`;
  const feeds = new Map([['x', Tensor.of('float32', [1, 16, 9, 9], normals(1296))]]);

  it('keep 8 bits per channel behind DequantizeLinear, fewer where that is wanted', async () => {
    const plain = await result(parseModel(text), feeds);
    const reason = '4 bits with one scale per channel lose too much: 8';
    for (const [wanted, told, limit] of [
      [{}, ['c', 'int8', reason], 0.6],
      [{ c: 'int4' }, ['c', 'int4', undefined], 8],
    ] as const) {
      const { model, decided } = await quantized(text, { format: 'qdq' }, { wanted });
      expect(decided).toEqual([told]);
      expect(opsOf(model)).toEqual(['Conv', 'DequantizeLinear']);
      const worst = largestDifference(plain, await result(model, feeds));
      expect(worst).toBeLessThan(limit);
      expect(worst).toBeGreaterThan(limit / 100);
    }
  });

  it('stay float where nothing but DequantizeLinear could read them', async () => {
    const { decided } = await quantized(text);
    expect(decided[0]?.[2]).toMatch('its weight would be unpacked in every run');
  });
});

describe('what stays float', () => {
  it('says why', async () => {
    const { decided, model } = await quantized(
      `g (float[2, 64] x, float[64, 64] v, int64[2] i) => (float[2, 64] y, float[2, 64] z, float[64, 2] u)
        <float[64, 64] w = random, float[3, 64, 64] s = random, float[8, 8] k = random,
          double[64, 64] d = random> {
        [open] a = MatMul(x, v)
        [chosen] b = MatMul(a, w)
        [turned] c = Gemm<transA = 1>(v, w)
        [first] e = MatMul(w, c)
        [stack] f = MatMul(x, s)
        [columns] u = Gather<axis = 1>(w, i)
        [small] h = Gather(k, i)
        y = Add(b, x)
        z = Neg(x)
      }`,
      {},
      { wanted: { chosen: 'float' } },
    );
    expect(Object.fromEntries(decided.map(([name, , reason]) => [name, reason]))).toEqual({
      open: 'its second operand is not constant',
      chosen: 'it was chosen to stay float',
      turned: 'it transposes its first operand',
      first: 'its constant is the first operand, not the second',
      stack: 'its weight is a stack of matrices',
      columns: 'it picks columns, not rows',
      small: 'its weight has only 64 elements',
    });
    expect(opsOf(model)).not.toContain('MatMulNBits');
  });

  it('follows what is wanted of single layers', async () => {
    const { decided } = await quantized(
      TIED.replace('WIDTH', '64'),
      {},
      { wanted: { head: 'int8', pick: 'fp16' } },
    );
    expect(decided).toEqual([
      ['pick', 'float', 'it was chosen to stay float'],
      ['head', 'int8', undefined],
    ]);
  });

  it('names the weight that is not a number', async () => {
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const { model } = await quantized(
        'g (float[2, 64] x) => (y) <float[64, 64] w = random> { [m] y = MatMul(x, w) }',
      );
      expect(model.graph.nodeCount).toBe(1);
      const broken = parseModel(
        'g (float[2, 64] x) => (y) <float[64, 64] w = random> { [m] y = MatMul(x, w) }',
      );
      inferTypes(broken);
      const [w] = broken.graph.initializers;
      const values = normals(4096);
      values[1234] = bad;
      if (w) broken.graph.setData(w, Tensor.of('float32', [64, 64], values));
      const { context } = contextOf(run);
      await quantizeWeights(
        broken,
        { bits: 4, block: 32, symmetric: true, format: 'auto', algorithm: 'rtn' },
        context,
      );
      await expect(encodeModel(broken)).rejects.toThrow(
        'weight "w" of node "m" (MatMul) holds NaN or infinity',
      );
    }
  });
});
