// Types of bodies: sizes that change from run to run, branches that differ, results that are stacked.

import { describe, expect, it } from '@jest/globals';
import * as ort from 'onnxruntime-node';
import {
  Builder,
  Graph,
  isUnknown,
  Model,
  printType,
  symbol,
  type Type,
  tensorType,
  type Value,
} from '../../src/graph/index.ts';
import { encodeModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** A graph made by `build`, which returns its outputs. */
function graphOf(name: string, build: (g: Builder) => readonly Value[]): Graph {
  const graph = new Graph(name);
  graph.outputs.push(...build(new Builder(graph)));
  return graph;
}

function modelOf(build: (g: Builder) => readonly Value[]): Model {
  return new Model(graphOf('main', build), new Map([['', 17]]));
}

/** Types of the outputs as text: `?` for a size that is not known. */
function typesOf(model: Model): string[] {
  expect(inferTypes(model)).toEqual([]);
  return model.graph.outputs.map((value) => printType(value.type));
}

async function shapesByOrt(model: Model, x: readonly number[]): Promise<(readonly number[])[]> {
  const session = await ort.InferenceSession.create(await encodeModel(model));
  const size = x.reduce((product, dim) => product * dim, 1);
  const results = await session.run({
    x: new ort.Tensor('float32', new Float32Array(size), [...x]),
  });
  await session.release();
  return session.outputNames.map((name) => results[name]?.dims ?? []);
}

const FLOAT = 'float32';
const int = (...values: number[]) => Tensor.int64(values);
const scalar = (value: number) => Tensor.of('int64', [], [value]);

/** Body of a Loop that hands its condition on. */
function loopBody(carried: readonly Type[], build: (g: Builder, ...v: Value[]) => Value[]): Graph {
  return graphOf('body', (g) => {
    g.input('i', tensorType('int64', []));
    const go = g.input('go', tensorType('bool', []));
    const values = carried.map((type, i) => g.input(`v${i}`, type));
    return [g.op('Identity', [go]), ...build(g, ...values)];
  });
}

describe('Loop', () => {
  it('keeps a shape that stands still, stacks what each run gives', async () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [2, 3]));
      const body = loopBody([tensorType(FLOAT)], (b, v) => {
        const next = b.op('Relu', [v as Value]);
        return [next, b.op('ReduceSum', [next, b.constant('axes', int(0))], { keepdims: 0 })];
      });
      const outputs = g.ops('Loop', [g.constant('n', scalar(4)), undefined, x], 2, { body });
      return outputs;
    });
    expect(typesOf(model)).toEqual(['float32 [2, 3]', 'float32 [4, 3]']);
    expect(await shapesByOrt(model, [2, 3])).toEqual([
      [2, 3],
      [4, 3],
    ]);
  });

  it('opens the axis that grows, and no other', async () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [2, 3]));
      const body = loopBody([tensorType(FLOAT)], (b, v) => {
        return [b.op('Concat', [v, x], { axis: 0 })];
      });
      const y = g.op('Loop', [g.constant('n', scalar(4)), undefined, x], { body });
      return [y, g.op('Relu', [y])];
    });
    expect(typesOf(model)).toEqual(['float32 [?, 3]', 'float32 [?, 3]']);
    expect(await shapesByOrt(model, [2, 3])).toEqual([
      [10, 3],
      [10, 3],
    ]);
  });

  it('gives up the rank where it changes', () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [3]));
      const body = loopBody([tensorType(FLOAT)], (b, v) => {
        return [b.op('Unsqueeze', [v, b.constant('axes', int(0))])];
      });
      return [g.op('Loop', [g.constant('n', scalar(2)), undefined, x], { body })];
    });
    expect(typesOf(model)).toEqual(['float32 [...]']);
  });

  it('does not know the number of runs where the body can end it', () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [symbol('n'), 3]));
      const body = graphOf('body', (b) => {
        b.input('i', tensorType('int64', []));
        b.input('go', tensorType('bool', []));
        const v = b.input('v', tensorType(FLOAT));
        const sum = b.op('ReduceSum', [v], { keepdims: 0 });
        const stop = b.op('Greater', [sum, b.constant('zero', Tensor.scalar(FLOAT, 0))]);
        return [stop, v, b.op('Neg', [v])];
      });
      return g.ops('Loop', [g.constant('n', scalar(4)), undefined, x], 2, { body });
    });
    expect(typesOf(model)).toEqual(['float32 [n, 3]', 'float32 [?, n, 3]']);
  });

  it('settles loops in loops', () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [2, 3]));
      const body = loopBody([tensorType(FLOAT)], (b, v) => {
        const inner = loopBody([tensorType(FLOAT)], (bb, w) => {
          return [bb.op('Concat', [w, x], { axis: 1 })];
        });
        const n = b.constant('m', scalar(2));
        return [b.op('Loop', [n, undefined, v], { body: inner })];
      });
      return [g.op('Loop', [g.constant('n', scalar(4)), undefined, x], { body })];
    });
    expect(typesOf(model)).toEqual(['float32 [2, ?]']);
  });
});

describe('Scan', () => {
  it('takes slices along its axes and stacks results', async () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [2, 5, 3]));
      const state = g.constant('s', Tensor.of(FLOAT, [2, 3], new Float32Array(6)));
      const body = graphOf('body', (b) => {
        const s = b.input('s0', tensorType(FLOAT));
        const slice = b.input('xi', tensorType(FLOAT));
        const sum = b.op('Add', [s, slice]);
        return [sum, b.op('ReduceMean', [sum], { axes: [0], keepdims: 0 })];
      });
      const attrs = { body, num_scan_inputs: 1, scan_input_axes: [1], scan_output_axes: [1] };
      return g.ops('Scan', [state, x], 2, attrs);
    });
    expect(typesOf(model)).toEqual(['float32 [2, 3]', 'float32 [3, 5]']);
    expect(await shapesByOrt(model, [2, 5, 3])).toEqual([
      [2, 3],
      [3, 5],
    ]);
  });
});

/** An If whose branches pick rows of x. */
function branching(condition: Tensor | undefined, rows: readonly [number, number]): Model {
  return modelOf((g) => {
    const x = g.input('x', tensorType(FLOAT, [4, 3]));
    const test = condition ? g.constant('c', condition) : g.input('c', tensorType('bool', []));
    const [then_branch, else_branch] = rows.map((count, i) =>
      graphOf(`branch${i}`, (b) => {
        const bounds = [b.constant(`s${i}`, int(0)), b.constant(`e${i}`, int(count))];
        return [b.op('Slice', [x, ...bounds], {}, { name: `slice${i}` })];
      }),
    ) as [Graph, Graph];
    return [g.op('If', [test], { then_branch, else_branch })];
  });
}

const bool = (value: boolean) => Tensor.of('bool', [], [Number(value)]);

describe('If', () => {
  it('keeps what both branches have in common', () => {
    expect(typesOf(branching(undefined, [2, 2]))).toEqual(['float32 [2, 3]']);
    expect(typesOf(branching(undefined, [1, 2]))).toEqual(['float32 [?, 3]']);
  });

  it('follows a condition that is known', async () => {
    expect(typesOf(branching(bool(true), [1, 2]))).toEqual(['float32 [1, 3]']);
    const model = branching(bool(false), [1, 2]);
    expect(typesOf(model)).toEqual(['float32 [2, 3]']);
    expect(await shapesByOrt(model, [4, 3])).toEqual([[2, 3]]);
  });

  it('leaves out a branch that its inputs contradict', () => {
    // As PyTorch exports squeeze(0): only where the axis is 1.
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [4, 3]));
      const c = g.input('c', tensorType('bool', []));
      const then_branch = graphOf('then', (b) => {
        const wide = b.constant('w', Tensor.of(FLOAT, [5, 2], new Float32Array(10)));
        return [b.op('MatMul', [x, wide], {}, { name: 'never' })];
      });
      const else_branch = graphOf('else', (b) => [b.op('Relu', [x], {}, { name: 'fits' })]);
      return [g.op('If', [c], { then_branch, else_branch })];
    });
    expect(typesOf(model)).toEqual(['float32 [4, 3]']);
  });
});

describe('sequences', () => {
  it('are split and joined', () => {
    const model = modelOf((g) => {
      const x = g.input('x', tensorType(FLOAT, [6, 3]));
      const pieces = g.op('SplitToSequence', [x, g.constant('two', scalar(2))], { axis: 0 });
      const first = g.op('SequenceAt', [pieces, g.constant('zero', scalar(0))]);
      const stacked = g.op('ConcatFromSequence', [pieces], { axis: 0, new_axis: 1 });
      const pair = g.op('SequenceConstruct', [first, x]);
      return [pieces, first, stacked, pair, g.op('SequenceLength', [pair])];
    });
    expect(typesOf(model)).toEqual([
      'sequence<float32 [2, 3]>',
      'float32 [2, 3]',
      'float32 [?, 2, 3]',
      'sequence<float32 [?, 3]>',
      'int64 []',
    ]);
    expect(model.graph.outputs[2]?.shape?.map(isUnknown)).toEqual([true, false, false]);
  });
});
