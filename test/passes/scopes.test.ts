// Fusions inside of subgraphs and functions.

import { describe, expect, it } from '@jest/globals';
import {
  attr,
  Builder,
  Graph,
  Model,
  type Node,
  tensorType,
  Value,
} from '../../src/graph/index.ts';
import { inferNode } from '../../src/ops/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { applyPasses, rewriteAndCompare, type Sketch } from '../helpers/rewriting.ts';

/** x * Sigmoid(x), then a Conv with BatchNormalization, as a body that captures x. */
function body(model: Model, s: Sketch, x: Value, name: string): Graph {
  const graph = new Graph(name);
  const g = new Builder(graph, undefined, (node) => inferNode(model, node));
  const y = g.op(
    'Mul',
    [x, g.op('Sigmoid', [x], {}, { name: `${name}/sigmoid` })],
    {},
    { name: `${name}/mul` },
  );
  const weight = s.weight([4, 3, 3, 3]);
  const conv = g.op('Conv', [y, weight], {}, { name: `${name}/conv` });
  const stats = [s.weight([4]), s.weight([4]), s.weight([4]), s.positive([4])];
  const out = g.op('BatchNormalization', [conv, ...stats], {}, { name: `${name}/norm` });
  graph.outputs.push(out);
  return graph;
}

const opsOf = (graph: Graph | undefined) =>
  [...(graph?.nodes ?? [])].map((n) => (n.domain ? `ms.${n.op}` : n.op));

describe('subgraphs', () => {
  it('fuses in both branches of an If, with weights and data from outside', async () => {
    const { model } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes: ['fuse-batchnorm', 'fuse-silu'],
      build: (s) => {
        const inner = new Model(s.g.graph, new Map([['', 13]]));
        const x = s.input('x', [1, 3, 5, 5]);
        const flag = s.g.op('Greater', [s.g.op('ReduceMax', [x], { keepdims: 0 }), s.scalar(0)]);
        const attrs = {
          then_branch: body(inner, s, x, 'then'),
          else_branch: body(inner, s, x, 'else'),
        };
        const y = s.g.op('If', [flag], attrs);
        y.type = tensorType('float32', [1, 4, 3, 3]);
        return y;
      },
    });
    const branch = [...model.graph.nodes].find((node: Node) => node.op === 'If');
    expect(opsOf(branch?.subgraph('then_branch'))).toEqual(['ms.QuickGelu', 'Conv']);
    expect(opsOf(branch?.subgraph('else_branch'))).toEqual(['ms.QuickGelu', 'Conv']);
    expect(model.opsets.get('com.microsoft')).toBe(1);
  });

  it('leaves a result that a branch reads', async () => {
    const { ops } = await rewriteAndCompare({
      opset: 24,
      passes: ['fuse-silu'],
      build: (s) => {
        const x = s.input('x', [2, 3]);
        const gate = s.g.op('Sigmoid', [x]);
        const branch = (name: string, op: string) => {
          const graph = new Graph(name);
          graph.outputs.push(new Builder(graph).op(op, [gate], {}, { name: `${name}/${op}` }));
          return graph;
        };
        const flag = s.g.op('Greater', [s.g.op('ReduceMax', [x], { keepdims: 0 }), s.scalar(0)]);
        const attrs = { then_branch: branch('then', 'Neg'), else_branch: branch('else', 'Abs') };
        const other = s.g.op('If', [flag], attrs);
        other.type = tensorType('float32', [2, 3]);
        return [s.g.op('Mul', [x, gate]), other];
      },
    });
    expect(ops).toContain('Sigmoid');
  });
});

describe('functions', () => {
  /** A model of one call of a function that computes x * Sigmoid(x). */
  function calling(functionOpset: number): Model {
    const fn = new Graph('gate');
    const parameter = new Value('a', tensorType('float32', [2, 3]));
    fn.inputs.push(parameter);
    const g = new Builder(fn);
    const sigmoid = g.op('Sigmoid', [parameter]);
    sigmoid.type = parameter.type;
    fn.outputs.push(g.op('Mul', [parameter, sigmoid]));
    const model = new Model(
      new Graph('main'),
      new Map([
        ['', 13],
        ['local', 1],
      ]),
      10,
    );
    model.functions.push({
      name: 'Gate',
      domain: 'local',
      overload: '',
      graph: fn,
      attributes: [],
      defaults: new Map(),
      opsets: new Map([['', functionOpset]]),
    });
    const main = new Builder(model.graph);
    const x = main.input('x', tensorType('float32', [2, 3]));
    const y = main.op('Gate', [x], {}, { domain: 'local' });
    y.type = tensorType('float32', [2, 3]);
    main.output(y, 'y');
    return model;
  }

  it('imports the domain where the body needs it', async () => {
    const before = calling(13);
    const after = before.clone();
    await applyPasses(after, ['fuse-silu'], 'extended');
    expect(opsOf(after.functions[0]?.graph)).toEqual(['ms.QuickGelu']);
    expect(after.functions[0]?.opsets.get('com.microsoft')).toBe(1);
    const run = createRunner();
    const feeds = new Map([['x', Tensor.of('float32', [2, 3], [-2, -1, 0, 1, 2, 3])]]);
    const [expected, actual] = [await run(before, feeds), await run(after, feeds)];
    const tolerance = { rtol: 1e-5, atol: 1e-6 };
    const [a, b] = [expected.get('y'), actual.get('y')];
    expect(a && b && compareTensors(a, b, tolerance).equal).toBe(true);
  });

  it("goes by the body's own opset", async () => {
    const model = calling(24);
    await applyPasses(model, ['fuse-silu'], 'basic');
    expect(opsOf(model.functions[0]?.graph)).toEqual(['Swish']);
  });
});

describe('attributes', () => {
  it('writes a whole-numbered factor as a float', async () => {
    const { model } = await rewriteAndCompare({
      opset: 13,
      level: 'extended',
      passes: ['fuse-silu'],
      build: (s) => {
        const x = s.input('x', [2, 3]);
        return s.g.op('Mul', [x, s.g.op('Sigmoid', [s.g.op('Mul', [x, s.scalar(2)])])]);
      },
    });
    const [node] = model.graph.nodes;
    expect(node?.attrs.get('alpha')).toEqual(attr.float(2));
  });
});

describe('constants in functions', () => {
  it('stay nodes, since a function holds no initializers', async () => {
    const fn = new Graph('pad and convolve');
    const model = new Model(
      new Graph('main'),
      new Map([
        ['', 13],
        ['local', 1],
      ]),
      10,
    );
    const g = new Builder(fn, undefined, (node) => inferNode(model, node));
    const parameter = new Value('a', tensorType('float32', [1, 3, 5, 5]));
    fn.inputs.push(parameter);
    const constant = (shape: number[], value: number) => {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value);
      return g.op('Constant', [], { value: Tensor.of('float32', shape, values) });
    };
    const conv = g.op('Conv', [parameter, constant([4, 3, 3, 3], 0.5)]);
    fn.outputs.push(
      g.op('Add', [g.op('Mul', [conv, constant([4, 1, 1], 2)]), constant([4, 1, 1], 3)]),
    );
    model.functions.push({
      name: 'F',
      domain: 'local',
      overload: '',
      graph: fn,
      attributes: [],
      defaults: new Map(),
      opsets: new Map([['', 13]]),
    });
    const main = new Builder(model.graph);
    const y = main.op('F', [main.input('x', parameter.type)], {}, { domain: 'local' });
    y.type = tensorType('float32', [1, 4, 3, 3]);
    main.output(y, 'y');
    const after = model.clone();
    await applyPasses(after, ['fuse-scale', 'fuse-bias'], 'basic');
    const body = after.functions[0]?.graph;
    expect(opsOf(body).filter((op) => op !== 'Constant')).toEqual(['Conv']);
    expect(body?.initializers.size).toBe(0);
    const run = createRunner();
    const feeds = new Map([
      ['x', Tensor.of('float32', [1, 3, 5, 5], new Float32Array(75).fill(0.1))],
    ]);
    const [a, b] = [(await run(model, feeds)).get('y'), (await run(after, feeds)).get('y')];
    expect(a && b && compareTensors(a, b, { rtol: 1e-5, atol: 1e-6 }).equal).toBe(true);
  });
});
