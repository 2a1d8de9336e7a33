// Sizes by name through the chains that exporters write: what no operator test with fixed sizes shows.

import { describe, expect, it, test } from '@jest/globals';
import { printShape } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { parseModel } from '../helpers/parse.ts';

/** The shapes of the outputs of a graph, given in ONNX text. */
function shapesOf(text: string): string[] {
  const { model, problems } = infer(text);
  expect(problems).toEqual([]);
  return model.graph.outputs.map((output) => printShape(output.shape));
}

function infer(text: string) {
  const model = parseModel(text);
  return { model, problems: inferTypes(model).map((problem) => problem.message) };
}

const CHAINS: readonly (readonly [name: string, text: string, ...shapes: string[]])[] = [
  [
    'heads of a transformer, split and merged',
    `g (float[batch, seq, 768] x) => (h, m)
    < int64 zero = {0}, int64 one = {1}, int64[1] first = {0},
      int64[1] heads = {12}, int64[1] size = {64}, int64[1] rest = {-1} >
    {
      s = Shape (x)
      b0 = Gather <axis = 0> (s, zero)
      q0 = Gather <axis = 0> (s, one)
      b = Unsqueeze (b0, first)
      q = Unsqueeze (q0, first)
      t = Concat <axis = 0> (b, q, heads, size)
      r = Reshape (x, t)
      h = Transpose <perm = [0, 2, 1, 3]> (r)
      back = Transpose <perm = [0, 2, 1, 3]> (h)
      t2 = Concat <axis = 0> (b, q, rest)
      m = Reshape (back, t2)
    }`,
    '[batch, 12, seq, 64]',
    '[batch, seq, 768]',
  ],
  [
    'batch times heads in one axis, and out again',
    `g (float[batch, 12, seq, 64] x) => (y, z)
    < int64[3] flat = {-1, 0, 64}, int64[4] heads = {-1, 12, 0, 64}, int64[3] perm = {0, 0, 0} >
    {
      moved = Transpose <perm = [0, 1, 2, 3]> (x)
      s = Shape <start = 2, end = 3> (x)
      rest = Constant <value_ints = [-1]> ()
      last = Constant <value_ints = [64]> ()
      t = Concat <axis = 0> (rest, s, last)
      y = Reshape (moved, t)
      twelve = Constant <value_ints = [12]> ()
      t2 = Concat <axis = 0> (rest, twelve, s, last)
      z = Reshape (y, t2)
    }`,
    '[batch*12, seq, 64]',
    '[batch, 12, seq, 64]',
  ],
  [
    'keys and values kept from before',
    `g (float[batch, 4, past, 8] cache, float[batch, 4, seq, 8] k) => (all, last, window)
    < int64[1] from = {-1}, int64[1] end = {9223372036854775807}, int64[1] axis = {2},
      int64[1] four = {-4} >
    {
      all = Concat <axis = -2> (cache, k)
      last = Slice (all, from, end, axis)
      window = Slice (all, four, end, axis)
    }`,
    '[batch, 4, past + seq, 8]',
    '[batch, 4, 1, 8]',
    '[batch, 4, min(4, past + seq), 8]',
  ],
  [
    "GPT-2's mask, cut to the present",
    `g (float[batch, seq, 8] x, float[batch, past, 8] cache) => (y)
    < float[1, 1, 64, 64] mask = random, int64[1] rows = {2}, int64[1] columns = {3},
      int64[1] zero = {0}, int64[1] step = {1} >
    {
      n = Shape <start = 1, end = 2> (x)
      p = Shape <start = 1, end = 2> (cache)
      all = Add (n, p)
      from = Sub (all, n)
      a = Slice (mask, from, all, rows, step)
      y = Slice (a, zero, all, columns, step)
    }`,
    '[1, 1, seq, past + seq]',
  ],
  [
    'an expand of PyTorch, where -1 stands for the size that is there',
    `g (float[batch, 1, 8] x) => (y)
    < int64[1] minus = {-1}, int64[1] seven = {7} >
    {
      b = Shape <start = 0, end = 1> (x)
      wanted = Concat <axis = 0> (b, seven, minus)
      count = Shape (wanted)
      ones = ConstantOfShape <value = int64[1] {1}> (count)
      negative = Mul (ones, minus)
      keep = Equal (wanted, negative)
      t = Where (keep, ones, wanted)
      y = Expand (x, t)
    }`,
    '[batch, 7, 8]',
  ],
  [
    'twice the size, calculated in floats',
    `g (float[batch, 3, h, w] x) => (y, z)
    < float two = {2.0}, float half = {0.5} >
    {
      hw = Shape <start = 2> (x)
      f = Cast <to = 1> (hw)
      m = Mul (f, two)
      c = Cast <to = 1> (m)
      r = Floor (c)
      big = Cast <to = 7> (r)
      n = Mul (f, half)
      k = Floor (n)
      small = Cast <to = 7> (k)
      bc = Shape <start = 0, end = 2> (x)
      t = Concat <axis = 0> (bc, big)
      y = Resize <mode = "nearest"> (x, , , t)
      t2 = Concat <axis = 0> (bc, small)
      z = Resize <mode = "nearest"> (x, , , t2)
    }`,
    '[batch, 3, h*2, w*2]',
    '[batch, 3, floor(h/2), floor(w/2)]',
  ],
  [
    'a size that is not known beside others that are',
    `g (float[batch, 24] x, int64[1] unknown) => (y, z)
    < int64[1] minus = {-1}, int64[1] four = {4}, int64[1] six = {6} >
    {
      b = Shape <start = 0, end = 1> (x)
      t = Concat <axis = 0> (b, unknown, minus)
      y = Reshape (x, t)
      t2 = Concat <axis = 0> (b, unknown, six)
      z = Reshape (x, t2)
    }`,
    '[batch, ?, ?]',
    '[batch, 4, 6]',
  ],
  [
    'halves of a gate, equal by construction',
    `<ir_version: 8, opset_import: ["" : 17]>
    g (float[batch, channels, t] x) => (y)
    {
      a, b = Split <axis = 1> (x)
      s = Sigmoid (b)
      y = Mul (a, s)
    }`,
    '[batch, floor(channels/2), t]',
  ],
  [
    'a flattened picture, and the classifier behind it',
    `g (float[batch, 3, 32, 32] x) => (f, y)
    < float[4, 3, 3, 3] w = random, float[10, 900] v = random >
    {
      c = Conv <strides = [2, 2], pads = [0, 0, 0, 0]> (x, w)
      f = Flatten (c)
      y = Gemm <transB = 1> (f, v)
    }`,
    '[batch, 900]',
    '[batch, 10]',
  ],
];

describe('symbolic sizes', () => {
  test.each(CHAINS)('%s', (_, text, ...shapes) => {
    expect(shapesOf(text)).toEqual(shapes);
  });
});

describe('contradictions', () => {
  test.each([
    [
      'g (float[8, 400] a) => (y) < float[256, 10] b = random > { y = Gemm (a, b) }',
      "Gemm needs A's columns to equal B's rows, but A is [8, 400] and B is [256, 10]",
    ],
    [
      'g (float[2, 3] a, float[2, 4] b) => (y) { y = Add (a, b) }',
      'Add cannot broadcast [2, 3] with [2, 4]',
    ],
    [
      'g (float[2, 3] a) => (y) < int64[2] t = {4, -1} > { y = Reshape (a, t) }',
      'Reshape cannot divide the 6 elements of [2, 3] by 4',
    ],
    [
      'g (float[n, 3] a) => (y) < int64[1] axes = {1} > { y = Squeeze (a, axes) }',
      'Squeeze drops axes of size 1, but axis 1 of [n, 3] is not',
    ],
    [
      'g (float[n, 3] a) => (y) { y = Transpose <perm = [0, 2, 1]> (a) }',
      'Transpose permutes 3 axes, but its input is [n, 3]',
    ],
    [
      'g (float[n, 3] a, float[n, 4] b) => (y) { y = Concat <axis = 0> (a, b) }',
      'Concat cannot join [n, 3] and [n, 4] along axis 0',
    ],
    ['g (float[n, 3] a) => (y) { y = Softmax <axis = 2> (a) }', 'axis 2 is outside of rank 2'],
  ])('%s', (text, message) => {
    const { problems } = infer(text);
    expect(problems).toEqual([message]);
  });

  it('leave the node unknown and say where', () => {
    const model = parseModel('g (float[2, 3] a, float[4] b) => (y) { [sum] y = Add (a, b) }');
    expect(inferTypes(model)).toMatchObject([{ where: 'node "sum" (Add)' }]);
    expect(model.graph.outputs[0]?.shape).toBeUndefined();
  });
});
