// Costs against published figures of known networks, and against formulas worked out by hand.

import { describe, expect, it } from '@jest/globals';
import {
  add,
  Builder,
  type Dim,
  Graph,
  Model,
  mul,
  Node,
  type Shape,
  sameDim,
  symbol,
  tensorType,
  Value,
} from '../../src/graph/index.ts';
import { activationBytes, modelCost, nodeCost, parameterCount } from '../../src/ops/cost.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { Network, resnet50, vgg16, weight } from './networks.ts';
import { type Case, float, modelOf } from './one-node.ts';

/** Multiply-adds of the layers with weights alone, as the literature counts. */
function weightedMacs(model: Model): Dim {
  const layers = [...model.graph.nodes].filter((node) => node.op === 'Conv' || node.op === 'Gemm');
  return layers.map((node) => nodeCost(model, node) ?? Number.NaN).reduce(add);
}

describe('published figures', () => {
  it('ResNet-50: 25,557,032 parameters, 4.089 G multiply-adds', () => {
    const model = resnet50();
    expect(modelCost(model).trainable).toBe(25_557_032);
    // Running means and variances are 53,120 more.
    expect(parameterCount(model)).toBe(25_557_032 + 53_120);
    expect(weightedMacs(model)).toBe(4_089_184_256);
  });

  it('VGG-16: 138,357,544 parameters, 15.47 G multiply-adds', () => {
    const model = vgg16();
    expect(modelCost(model).trainable).toBe(138_357_544);
    expect(weightedMacs(model)).toBe(15_470_264_320);
    // The rest is small: one step per element of ReLU, and per window element of pooling.
    const { macs, unknown } = modelCost(model);
    expect(unknown).toBe(0);
    expect(macs).toBeGreaterThan(15_470_264_320);
    expect(macs).toBeLessThan(15_470_264_320 * 1.01);
  });

  it('keeps a symbolic batch exact', () => {
    const net = new Network(symbol('batch'), 3, 8, 8).conv(3, 16, 3);
    const model = net.model();
    const cost = modelCost(model).macs;
    expect(cost !== undefined && sameDim(cost, mul(symbol('batch'), 8 * 8 * 16 * 27))).toBe(true);
  });
});

function costOf(test: Case, shapes?: readonly (Shape | undefined)[]): Dim | undefined {
  const model = modelOf(test, shapes);
  expect(inferTypes(model)).toEqual([]);
  const [node] = model.graph.nodes;
  return node && nodeCost(model, node);
}

describe('costs by hand', () => {
  it('of grouped and transposed convolutions', () => {
    const depthwise = costOf({
      op: 'Conv',
      inputs: [float(1, 32, 10, 10), float(32, 1, 3, 3)],
      attrs: { group: 32 },
    });
    expect(depthwise).toBe(32 * 8 * 8 * 9);
    const transposed = costOf({
      op: 'ConvTranspose',
      inputs: [float(1, 16, 5, 5), float(16, 8, 4, 4)],
      attrs: { strides: [2, 2] },
    });
    expect(transposed).toBe(16 * 5 * 5 * 8 * 16);
  });

  it('of recurrent layers, both directions', () => {
    const [time, batch, width, hidden] = [20, 4, 64, 128];
    const inputs = (gates: number, directions: number) => [
      float(time, batch, width),
      float(directions, gates * hidden, width),
      float(directions, gates * hidden, hidden),
    ];
    const attrs = { hidden_size: hidden };
    const steps = time * batch * hidden * (width + hidden);
    expect(costOf({ op: 'RNN', inputs: inputs(1, 1), attrs })).toBe(steps);
    expect(costOf({ op: 'LSTM', inputs: inputs(4, 1), attrs })).toBe(4 * steps);
    const both = { ...attrs, direction: 'bidirectional' };
    expect(costOf({ op: 'GRU', inputs: inputs(3, 2), attrs: both })).toBe(2 * 3 * steps);
    const peepholes = [...inputs(4, 1), ...new Array<undefined>(4).fill(undefined), float(1, 384)];
    const expected = 4 * steps + time * batch * 3 * hidden;
    expect(costOf({ op: 'LSTM', inputs: peepholes, attrs })).toBe(expected);
  });

  it('of attention: the scores and the weighted values', () => {
    const past = [undefined, float(1, 2, 7, 8), float(1, 2, 7, 8)];
    const inputs = [float(1, 4, 5, 8), float(1, 2, 5, 8), float(1, 2, 5, 8), ...past];
    const cost = costOf({ op: 'Attention', opset: 23, inputs, outputs: [true, true, true] });
    expect(cost).toBe(4 * 5 * (7 + 5) * (8 + 8));
  });

  it('of quantised layers like those of float ones', () => {
    const integers = (shape: number[]) => ({ dtype: 'uint8' as const, shape });
    const cost = costOf({
      op: 'ConvInteger',
      inputs: [integers([1, 3, 8, 8]), integers([4, 3, 3, 3])],
    });
    expect(cost).toBe(4 * 6 * 6 * 27);
    const packed = costOf({
      op: 'MatMulNBits',
      domain: 'com.microsoft',
      inputs: [float(2, 3, 32), { dtype: 'uint8', shape: [5, 2, 8] }, float(10)],
      attrs: { K: 32, N: 5, bits: 4, block_size: 16 },
    });
    expect(packed).toBe(2 * 3 * 5 * 32);
  });
});

/** A Loop of `count` runs whose body multiplies an [8, 8] matrix by itself. */
function loop(count: number): Model {
  const body = new Graph('body');
  const inner = new Builder(body);
  inner.input('i', tensorType('int64', []));
  const condition = inner.input('go', tensorType('bool', []));
  const carried = inner.input('m', tensorType('float32', [8, 8]));
  body.outputs.push(inner.op('Identity', [condition]), inner.op('MatMul', [carried, carried]));
  const g = new Builder(new Graph('loop'));
  const x = g.input('x', tensorType('float32', [8, 8]));
  const runs = g.constant('runs', Tensor.of('int64', [], [count]));
  g.output(g.op('Loop', [runs, undefined, x], { body }), 'y');
  const model = new Model(g.graph, new Map([['', 17]]));
  expect(inferTypes(model)).toEqual([]);
  return model;
}

/** An If whose branches multiply by a narrow and by a wide matrix. */
function branches(): Model {
  const g = new Builder(new Graph('if'));
  const condition = g.input('c', tensorType('bool', []));
  const x = g.input('x', tensorType('float32', [2, 4]));
  const branch = (name: string, width: number) => {
    const graph = new Graph(name);
    const inner = new Builder(graph);
    const w = inner.constant(`w_${name}`, weight('float32', [4, width]));
    const y = new Value(`y_${name}`);
    graph.append(new Node({ op: 'MatMul', inputs: [x, w], outputs: [y] }));
    graph.outputs.push(y);
    return graph;
  };
  const attrs = { then_branch: branch('narrow', 3), else_branch: branch('wide', 30) };
  g.output(g.op('If', [condition], attrs), 'y');
  const model = new Model(g.graph, new Map([['', 17]]));
  expect(inferTypes(model)).toEqual([]);
  return model;
}

describe('control flow', () => {
  it('counts every run of a body', () => {
    const model = loop(5);
    // The condition that is handed on counts for one element, if at all.
    const cost = modelCost(model).macs;
    expect(cost).toBeGreaterThanOrEqual(5 * 512);
    expect(cost).toBeLessThanOrEqual(5 * 513);
  });

  it('counts the dearer branch', () => {
    const model = branches();
    expect(modelCost(model).macs).toBe(2 * 4 * 30);
    expect(model.graph.outputs[0]?.shape).toHaveLength(2);
  });
});

describe('functions', () => {
  it('cost what their body costs with the attributes of the call', () => {
    const body = new Graph('Twice');
    const inner = new Builder(body);
    const a = inner.input('a', undefined);
    const w = inner.input('w', undefined);
    const y = inner.op('MatMul', [inner.op('MatMul', [a, w]), w]);
    body.outputs.push(y);
    const g = new Builder(new Graph('main'));
    const x = g.input('x', tensorType('float32', [3, 8]));
    const weights = g.constant('w', weight('float32', [8, 8]));
    g.output(g.op('Twice', [x, weights], {}, { domain: 'local' }), 'y');
    const opsets = new Map([
      ['', 17],
      ['local', 1],
    ]);
    const model = new Model(g.graph, opsets);
    model.functions.push({
      name: 'Twice',
      domain: 'local',
      overload: '',
      graph: body,
      attributes: [],
      defaults: new Map(),
      opsets: new Map([['', 17]]),
    });
    expect(inferTypes(model)).toEqual([]);
    expect(modelCost(model).macs).toBe(2 * 3 * 8 * 8);
  });
});

describe('memory', () => {
  it('frees a value after its last reader', () => {
    // x 4 KB → Relu → Sigmoid → Add(Relu): at the Add three values of 4 KB are alive.
    const net = new Network(1, 1024);
    const first = net.relu().x;
    net.x = net.g.op('Sigmoid', [first]);
    net.x = net.g.op('Add', [net.x, first]);
    const model = net.model();
    expect(modelCost(model).peakActivationBytes).toBe(3 * 4096);
    const bytes = [...model.graph.nodes].map(activationBytes);
    expect(bytes).toEqual([4096, 4096, 4096]);
  });

  it('knows the peak of a symbolic batch', () => {
    const net = new Network(symbol('n'), 1024).relu().relu();
    const peak = modelCost(net.model()).peakActivationBytes;
    expect(peak !== undefined && sameDim(peak, mul(symbol('n'), 2 * 4096))).toBe(true);
  });

  it('does not count weights', () => {
    const net = new Network(1, 64).dense(64, 32);
    expect(modelCost(net.model()).peakActivationBytes).toBe(4 * (64 + 32));
  });
});

describe('parameters', () => {
  it('leaves out shapes and indices, keeps integer weights', () => {
    const g = new Builder(new Graph('parameters'));
    const x = g.input('x', tensorType('uint8', [1, 3, 8, 8]));
    const w = g.constant('w', weight('int8', [4, 3, 3, 3]));
    const scale = g.constant('scale', weight('float32', []));
    const zero = g.constant('zero', weight('uint8', []));
    const signed = g.constant('signed', weight('int8', []));
    const bias = g.constant('bias', weight('int32', [4]));
    const inputs = [x, scale, zero, w, scale, signed, scale, zero, bias];
    const y = g.op('QLinearConv', inputs);
    const shape = g.constant('shape', Tensor.int64([1, -1]));
    g.output(g.op('Reshape', [y, shape]), 'y');
    const model = new Model(g.graph, new Map([['', 17]]));
    inferTypes(model);
    // 108 weights, 4 biases, a scale and two zero points.
    expect(parameterCount(model)).toBe(108 + 4 + 3);
    expect(modelCost(model).trainable).toBe(0);
  });
});
