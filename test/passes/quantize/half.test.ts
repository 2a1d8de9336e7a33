// Half precision: which nodes take it, what happens at the borders, and that results stay what they
// were.

import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { halve, planOnly } from '../../helpers/halving.ts';

const MLP = `
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 4] x) => (float[N, 3] y)
<float[4, 8] w1 = random, float[8] b1 = random, float[8, 3] w2 = random>
{
  [one] m = MatMul (x, w1)
  [bias] a = Add (m, b1)
  [relu] r = Relu (a)
  [two] y = MatMul (r, w2)
}`;

describe('inputs and outputs', () => {
  it('stay float32, with one Cast each', async () => {
    const { ops, error, model } = await halve(MLP);
    expect(ops).toEqual([
      'Cast float16',
      'MatMul float16',
      'Add float16',
      'Relu float16',
      'MatMul float16',
      'Cast float32',
    ]);
    expect(error).toBeLessThan(2e-3);
    expect(model.graph.outputs.map(({ name, dtype }) => [name, dtype])).toEqual([['y', 'float32']]);
    expect([...model.graph.initializers].map(({ name, dtype }) => [name, dtype])).toEqual([
      ['w1', 'float16'],
      ['b1', 'float16'],
      ['w2', 'float16'],
    ]);
  });

  it('become half where they need not stay', async () => {
    const { ops, error, model } = await halve(MLP, { keepIo: false });
    expect(ops.filter((op) => op.startsWith('Cast'))).toEqual([]);
    expect(model.graph.inputs[0]?.dtype).toBe('float16');
    expect(model.graph.outputs[0]?.dtype).toBe('float16');
    expect(error).toBeLessThan(2e-3);
  });

  it('keeps the name of an output that is read inside, too', async () => {
    const { model, error } = await halve(`
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 4] x) => (float[N, 4] h, float[N, 4] y)
      <float[4, 4] w = random>
      {
        h = MatMul (x, w)
        y = MatMul (h, w)
      }`);
    expect(model.graph.outputs.map(({ name, dtype }) => [name, dtype])).toEqual([
      ['h', 'float32'],
      ['y', 'float32'],
    ]);
    expect([...model.graph.nodes].filter(({ op }) => op === 'Cast')).toHaveLength(3);
    expect(error).toBeLessThan(2e-3);
  });

  it('leaves inputs of other types alone, and those nobody reads', async () => {
    const { ops, model } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (int64[N, 2] ids, double[N, 2] d, float[N] unused) => (float[N, 2, 3] y, double[N, 2] e)
      <float[5, 3] table = random, float[3, 3] w = random>
      {
        t = Gather (table, ids)
        y = MatMul (t, w)
        e = Add (d, d)
      }`,
      { keepIo: false },
    );
    expect(ops).toEqual(['Gather float16', 'MatMul float16', 'Add float64']);
    expect(model.graph.inputs.map(({ dtype }) => dtype)).toEqual(['int64', 'float64', 'float16']);
  });
});

describe('islands', () => {
  it('keeps what the user wants float32, with one Cast per value and direction', async () => {
    const { ops, decisions, error } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 4] x) => (float[N, 4] y)
      <float[4, 4] w = random>
      {
        [first] a = MatMul (x, w)
        [left] b = MatMul (a, w)
        [right] c = MatMul (a, w)
        [sum] d = Add (b, c)
        [last] y = MatMul (d, w)
      }`,
      { wanted: (node) => (['left', 'right'].includes(node.name) ? 'float' : undefined) },
    );
    expect(ops).toEqual([
      'Cast float16',
      'MatMul float16',
      'Cast float32',
      'MatMul float32',
      'MatMul float32',
      'Add float32',
      'Cast float16',
      'MatMul float16',
      'Cast float32',
    ]);
    expect(decisions.get('left')).toEqual({ precision: 'float', reason: 'it is to be float' });
    expect(decisions.get('sum')?.reason).toBe('its neighbours are float32');
    expect(error).toBeLessThan(2e-3);
  });

  it('gives a shared weight to each side once', async () => {
    const { model } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z)
      <float[4, 4] w = random>
      {
        [a] p = MatMul (x, w)
        [b] q = MatMul (x, w)
        [c] y = MatMul (p, w)
        [d] z = MatMul (q, w)
      }`,
      { wanted: (node) => (node.name === 'a' || node.name === 'd' ? 'float' : undefined) },
    );
    const weights = [...model.graph.initializers].map(({ name, dtype }) => `${name} ${dtype}`);
    expect(weights).toEqual(['w float32', 'w_float16 float16']);
  });

  it('merges what is not worth its Casts', async () => {
    const { ops } = await halve(`
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 4] x) => (float[N, 4] y)
      {
        e = Exp (x)
        a = Neg (e)
        b = Relu (a)
        y = Exp (b)
      }`);
    expect(ops).toEqual(['Exp float32', 'Neg float32', 'Relu float32', 'Exp float32']);
  });

  it('leaves functions, sequences and unknown operators as they are', async () => {
    const { ops, decisions } = await halve(`
      <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
      g (float[N, 4] x) => (float[N, 4] y)
      <float[4, 4] w = random>
      {
        a = MatMul (x, w)
        [call] b = local.twice (a)
        s = SequenceConstruct (b, a)
        i = Constant <value_int = 0> ()
        c = SequenceAt (s, i)
        y = MatMul (c, w)
      }
      <domain: "local", opset_import: ["" : 17]>
      twice (v) => (r)
      {
        r = Add (v, v)
      }`);
    expect(ops.filter((op) => /twice|Sequence|MatMul/.test(op))).toEqual([
      'MatMul float16',
      'twice float32',
      'SequenceConstruct undefined',
      'SequenceAt float32',
      'MatMul float16',
    ]);
    expect(decisions.get('call')?.reason).toBe('it calls a function of the model');
  });
});

describe('constants', () => {
  it('keeps masks finite, so that a row masked all over is no NaN', async () => {
    const { results, error, decisions } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 3] x, int64[2, 3] mask) => (float[2, 3] y)
      <float[3, 3] w = random, float one = {1}, float low = {-3.4028235e38}>
      {
        s = MatMul (x, w)
        m = Cast <to = 1> (mask)
        inverse = Sub (one, m)
        [scale] big = Mul (inverse, low)
        masked = Add (s, big)
        p = Softmax <axis = -1> (masked)
        y = MatMul (p, w)
      }`,
      {
        feeds: new Map([
          ['x', Tensor.of('float32', [2, 3], [-1, -2, -3, 1, 2, 3])],
          ['mask', Tensor.int64([1, 1, 0, 0, 0, 0]).reshape([2, 3])],
        ]),
      },
    );
    expect(decisions.get('scale')).toEqual({
      precision: 'fp16',
      reason: 'masks are kept within ±30000',
    });
    const y = results.get('y')?.numbers() ?? [];
    expect(y.every(Number.isFinite)).toBe(true);
    // The masked row averages with the logits it has: in float32 they vanish beside the mask.
    expect(error).toBeLessThan(1);
  });

  it('leaves float32 what half cannot hold', async () => {
    const { decisions, error } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 4] x) => (float[N, 4] y)
      <float[4, 4] w = random, float tiny = {1e-9}, float large = {1e6}, float back = {1e-6}>
      {
        a = MatMul (x, w)
        [eps] b = Add (a, tiny)
        [times] c = Mul (b, large)
        [again] d = Mul (c, back)
        y = MatMul (d, w)
      }`,
    );
    expect(decisions.get('eps')?.reason).toBe('a constant of it is too small for float16');
    expect(decisions.get('times')?.reason).toBe(
      'a constant of it holds 1.00e+6, beyond float16 (65504)',
    );
    expect(decisions.get('again')?.precision).toBe('float');
    expect(error).toBeLessThan(2e-3);
  });

  it('counts weights that become zero', async () => {
    const weights = Array.from({ length: 64 }, (_, i) => (i < 3 ? 1e-9 : i / 64));
    const { decisions } = await halve(`
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 8] x) => (float[N, 8] y)
      <float[8, 8] w = {${weights.join(', ')}}>
      {
        [m] y = MatMul (x, w)
      }`);
    expect(decisions.get('m')).toEqual({
      precision: 'fp16',
      reason: '3 of 64 weights become 0',
    });
  });
});

describe('operators', () => {
  it('keeps scales of Resize, and turns what names its type', async () => {
    const { ops, error, model } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[1, 2, 4, 4] x, int64[4] size) => (float[1, 2, 8, 8] y)
      <float[2, 2, 1, 1] w = random, float[4] scales = {1, 1, 2, 2}, float[0] roi = {}>
      {
        c = Conv (x, w)
        r = Resize <mode = "linear"> (c, roi, scales)
        f = ConstantOfShape <value = float[1] {0.5}> (size)
        s = Add (r, f)
        y = Conv (s, w)
      }`,
      {
        feeds: new Map([
          ['x', Tensor.of('float32', [1, 2, 4, 4], Float32Array.from({ length: 32 }, Math.sin))],
          ['size', Tensor.int64([1, 2, 8, 8])],
        ]),
      },
    );
    expect(ops).toEqual([
      'Cast float16',
      'Conv float16',
      'Resize float16',
      'ConstantOfShape float16',
      'Add float16',
      'Conv float16',
      'Cast float32',
    ]);
    const types = new Map([...model.graph.initializers].map((v) => [v.name, v.dtype]));
    expect(types.get('scales')).toBe('float32');
    expect(error).toBeLessThan(2e-3);
  });

  it('computes squares, whole numbers and angles in float32', async () => {
    const { decisions, error } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 13]>
      g (float[2, 64] x, int64[2, 1] position) => (float[2, 64] y, int64[2, 64] n)
      <float[64, 64] w = random, float[1, 64] frequency = random, float eps = {1e-12},
       float two = {2}, float ten = {10}>
      {
        [project] h = MatMul (x, w)
        mean = ReduceMean <axes = [-1]> (h)
        [centre] c = Sub (h, mean)
        [square] q = Pow (c, two)
        [variance] v = ReduceMean <axes = [-1]> (q)
        [epsilon] e = Add (v, eps)
        [root] s = Sqrt (e)
        [normal] z = Div (c, s)
        p = Cast <to = 1> (position)
        [angle] a = MatMul (p, frequency)
        [sine] sin = Sin (a)
        moved = Add (z, sin)
        [last] y = MatMul (moved, w)
        [scaled] t = Mul (h, ten)
        floored = Floor (t)
        n = Cast <to = 7> (floored)
      }`,
      {
        feeds: new Map([
          [
            'x',
            Tensor.of(
              'float32',
              [2, 64],
              Float32Array.from({ length: 128 }, (_, i) => 1e3 * Math.sin(i)),
            ),
          ],
          ['position', Tensor.int64([4001, 30000]).reshape([2, 1])],
        ]),
      },
    );
    const float = [...decisions].filter(([, d]) => d.precision === 'float').map(([name]) => name);
    for (const name of ['square', 'variance', 'epsilon', 'root', 'normal', 'angle', 'sine']) {
      expect(float).toContain(name);
    }
    expect(float).toContain('scaled');
    expect(decisions.get('project')?.precision).toBe('fp16');
    expect(decisions.get('last')?.precision).toBe('fp16');
    expect(error).toBeLessThan(5e-3);
  });
});

describe('subgraphs', () => {
  it('computes in half inside of branches and loops, whose borders stay float32', async () => {
    const { ops, error, model } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 4] x, bool flag) => (float[2, 4] y, float[3, 2, 4] all)
      <float[4, 4] w = random, int64 count = {3}, bool go = {1}>
      {
        h = MatMul (x, w)
        b = If (flag) <
          then_branch = t () => (float[2, 4] p) { p = MatMul (h, w) },
          else_branch = e () => (float[2, 4] q) { q = Identity (h) }
        >
        y, all = Loop (count, go, b) <
          body = l (int64 i, bool c, float[2, 4] state) => (bool c2, float[2, 4] next, float[2, 4] out) {
            c2 = Identity (c)
            m = MatMul (state, w)
            next = Add (m, h)
            out = MatMul (next, w)
          }
        >
      }`.replace(
        /= If \(flag\) <([\s\S]*?)>\s*y, all = Loop \(count, go, b\) <([\s\S]*?)>\s*\}$/,
        '= If <$1> (flag)\n y, all = Loop <$2> (count, go, b)\n}',
      ),
      {
        feeds: new Map([
          ['x', Tensor.of('float32', [2, 4], [0.1, 0.2, 0.3, 0.4, -0.1, -0.2, -0.3, -0.4])],
          ['flag', Tensor.of('bool', [], [1])],
        ]),
      },
    );
    expect(ops.filter((op) => op.startsWith('MatMul'))).toEqual(
      Array.from({ length: 4 }, () => 'MatMul float16'),
    );
    expect(model.graph.outputs.map(({ dtype }) => dtype)).toEqual(['float32', 'float32']);
    expect(error).toBeLessThan(5e-3);
  });
});

describe('storage', () => {
  const stored = `
    <ir_version: 7, opset_import: ["" : 11]>
    g (float[2, 32] x) => (float[2, 32] y)
    <float[32, 32] w = random, float[32] b = random>
    {
      [m] a = MatMul (x, w)
      [s] y = Add (a, b)
    }`;

  it('keeps all computing float32', async () => {
    const { ops, error, model, decisions } = await halve(stored, { storage: true });
    expect(ops).toEqual(['Cast float32', 'MatMul float32', 'Add float32']);
    expect([...model.graph.initializers].map((v) => `${v.name} ${v.dtype}`)).toEqual([
      'w float16',
      'b float32',
    ]);
    expect(decisions.get('m')).toEqual({
      precision: 'fp16',
      reason: 'stored in float16, computed in float32',
    });
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(1e-3);
  });

  it('is what bfloat16 is where it has no kernels, at an opset that knows it', async () => {
    const { ops, error, model, decisions } = await halve(stored, { type: 'bf16' });
    expect(ops).toEqual(['Cast float32', 'MatMul float32', 'Add float32']);
    expect(model.opset).toBe(13);
    expect(decisions.get('m')?.reason).toBe(
      'stored in bfloat16, computed in float32: cpu has no kernels for bfloat16',
    );
    expect(error).toBeGreaterThan(1e-4);
    expect(error).toBeLessThan(1e-2);
  });

  it('leaves weights that half cannot hold', async () => {
    const weights = Array.from({ length: 256 }, (_, i) => (i === 7 ? 1e5 : 1));
    const { ops, decisions, error } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 16] x) => (float[2, 16] y)
      <float[16, 16] w = {${weights.join(', ')}}>
      {
        [m] y = MatMul (x, w)
      }`,
      { storage: true },
    );
    expect(ops).toEqual(['MatMul float32']);
    expect(decisions.get('m')?.reason).toBe('a weight of 1.00e+5 is beyond float16 (65504)');
    expect(error).toBe(0);
  });
});

describe('models that are half in part', () => {
  it('are left alone where nothing is float32, with the reason', async () => {
    const { decisions, ops } = await halve(`
      <ir_version: 8, opset_import: ["" : 17]>
      g (float16[2, 4] x) => (float16[2, 4] y)
      <float16[4, 4] w = random>
      {
        [m] y = MatMul (x, w)
      }`);
    expect(ops).toEqual(['MatMul float16']);
    expect(decisions.get('m')).toEqual({ precision: 'float', reason: 'it is float16 already' });
  });

  it('take the rest to half, and lose the Casts between', async () => {
    const { ops, error } = await halve(`
      <ir_version: 8, opset_import: ["" : 17]>
      g (float16[2, 4] x) => (float16[2, 4] y)
      <float16[4, 4] w = random, float[4, 4] v = random>
      {
        a = MatMul (x, w)
        b = Cast <to = 1> (a)
        c = MatMul (b, v)
        d = Cast <to = 10> (c)
        y = MatMul (d, w)
      }`);
    expect(ops).toEqual(['MatMul float16', 'MatMul float16', 'MatMul float16']);
    expect(error).toBeLessThan(5e-3);
  });

  it('keep quantised groups as they are', async () => {
    const { ops } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 4] x) => (float[2, 4] y)
      <float[4, 4] v = random, int8[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7},
       float s = {0.05}, uint8 z = {128}, int8 n = {0}>
      {
        a = MatMul (x, v)
        q = QuantizeLinear (a, s, z)
        d = DequantizeLinear (q, s, z)
        e = DequantizeLinear (w, s, n)
        m = MatMul (d, e)
        p = QuantizeLinear (m, s, z)
        o = DequantizeLinear (p, s, z)
        y = MatMul (o, v)
      }`,
    );
    expect(ops.filter((op) => op.includes('float16'))).toEqual([]);
  });
});

describe('integer products', () => {
  it('stay float32 until they have their scale', async () => {
    const { ops, error } = await halve(
      `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 64] x) => (float[2, 4] y)
      <uint8[64, 4] w = {${Array.from({ length: 256 }, (_, i) => (i * 37) % 256).join(', ')}},
       float ws = {0.0001}, uint8 wz = {128}, float[4, 4] v = random>
      {
        q, s, z = DynamicQuantizeLinear (x)
        i = MatMulInteger (q, w, z, wz)
        f = Cast <to = 1> (i)
        scale = Mul (s, ws)
        m = Mul (f, scale)
        y = MatMul (m, v)
      }`,
      {
        feeds: new Map([
          [
            'x',
            Tensor.of(
              'float32',
              [2, 64],
              Array.from({ length: 128 }, (_, i) => 3 - (i % 7)),
            ),
          ],
        ]),
      },
    );
    expect(ops.filter((op) => op.includes('float16'))).toEqual(['Cast float16', 'MatMul float16']);
    expect(error).toBeLessThan(2e-3);
  });
});

describe('inputs with a default value', () => {
  it('stay float32 with the other inputs, behind one Cast', async () => {
    const text = `
      <ir_version: 8, opset_import: ["" : 17]>
      g (float[2, 4] x, float[4, 4] w) => (float[2, 4] y)
      <float[4, 4] w = random>
      {
        a = MatMul (x, w)
        y = MatMul (a, w)
      }`;
    const feeds = new Map([['x', Tensor.of('float32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8])]]);
    const kept = await halve(text, { feeds });
    expect(kept.model.graph.inputs.map(({ dtype }) => dtype)).toEqual(['float32', 'float32']);
    expect(kept.ops.filter((op) => op === 'Cast float16')).toHaveLength(2);
    expect(kept.error).toBeLessThan(2e-3);
    const changed = await halve(text, { feeds, keepIo: false });
    expect(changed.model.graph.inputs.map(({ dtype }) => dtype)).toEqual(['float16', 'float16']);
    expect(changed.model.graph.inputs[1]?.data?.dtype).toBe('float16');
    expect(changed.error).toBeLessThan(2e-3);
  });
});

describe('bfloat16 where it has kernels', () => {
  it('is taken for the operators that have one', async () => {
    const kernels = (kernel: string) => kernel === 'MatMul:bf16' || kernel === 'Relu:bf16';
    const { decisions, model } = await planOnly(MLP, { type: 'bf16', kernels });
    expect(decisions.get('one')?.precision).toBe('bf16');
    expect(decisions.get('two')?.precision).toBe('bf16');
    expect(decisions.get('bias')?.reason).toBe('cpu has no bfloat16 kernel for it');
    const types = [...model.graph.initializers].map(({ name, dtype }) => `${name} ${dtype}`);
    expect(types).toEqual(['w1 bfloat16', 'b1 float32', 'w2 bfloat16']);
  });

  it('lifts the model to where Conv knows it', async () => {
    const kernels = (kernel: string) => ['MatMul:bf16', 'Conv:bf16'].includes(kernel);
    const { ops, model } = await planOnly(
      `
      <ir_version: 7, opset_import: ["" : 11]>
      g (float[1, 2, 4, 4] x) => (float[1, 3, 4, 4] y)
      <float[3, 2, 1, 1] w = random>
      {
        y = Conv (x, w)
      }`,
      { type: 'bf16', kernels },
    );
    expect(ops).toEqual(['Cast bfloat16', 'Conv bfloat16', 'Cast float32']);
    expect(model.opset).toBe(22);
  });

  it('tells operators of one name apart by their domain', async () => {
    const kernels = (kernel: string) => ['MatMul:bf16', 'Gelu:bf16'].includes(kernel);
    const { ops } = await planOnly(
      `
      <ir_version: 8, opset_import: ["" : 20, "com.microsoft" : 1]>
      g (float[2, 4] x) => (float[2, 4] y)
      <float[4, 4] w = random>
      {
        a = MatMul (x, w)
        b = Gelu (a)
        c = MatMul (b, w)
        d = com.microsoft.Gelu (c)
        y = MatMul (d, w)
      }`,
      { type: 'bf16', kernels },
    );
    expect(ops.filter((op) => /MatMul|Gelu/.test(op))).toEqual([
      'MatMul bfloat16',
      'Gelu bfloat16',
      'MatMul bfloat16',
      'Gelu float32',
      'MatMul bfloat16',
    ]);
  });
});
