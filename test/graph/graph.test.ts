// Graph edits keep uses, names and order right, and refuse what would break the graph.

import { describe, expect, it } from '@jest/globals';
import {
  attr,
  Builder,
  capturesOf,
  checkModel,
  cloneGraph,
  Graph,
  isSorted,
  Model,
  Node,
  tensorType,
  topologicalOrder,
  Value,
} from '../../src/graph/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

function chain() {
  const graph = new Graph('g');
  const g = new Builder(graph);
  const x = g.input(
    'x',
    tensorType(
      'float32',
      ['batch', 4].map((d) => (d === 'batch' ? 2 : 4)),
    ),
  );
  const w = g.constant('w', Tensor.of('float32', [4], [1, 2, 3, 4]));
  const sum = g.op('Add', [x, w], {}, { name: 'add' });
  const y = g.op('Relu', [sum], {}, { name: 'relu' });
  g.output(y, 'y');
  return { graph, g, x, w, sum, y };
}

const model = (graph: Graph) => new Model(graph, new Map([['', 20]]));

describe('uses', () => {
  it('follow every rewiring', () => {
    const { graph, x, w, sum } = chain();
    const add = sum.producer as Node;
    expect(x.uses).toEqual([{ node: add, index: 0 }]);
    add.setInput(0, w);
    expect(x.uses).toEqual([]);
    expect(w.uses.map((use) => use.index).sort()).toEqual([0, 1]);
    add.setInput(1, undefined);
    add.dropInputs(1);
    expect(add.inputs).toEqual([w]);
    expect(graph.nodeCount).toBe(2);
  });

  it('count readers inside subgraphs, and end with the node that holds them', () => {
    const { graph, g, x, y } = chain();
    const body = new Graph('body');
    const inner = new Builder(body);
    inner.output(inner.op('Neg', [x]));
    const condition = g.constant('c', Tensor.of('bool', [], [1]));
    const result = g.op('If', [condition], { then_branch: body, else_branch: cloneGraph(body) });
    expect(x.uses.length).toBe(3);
    expect(capturesOf(body)).toEqual(new Set([x]));
    expect(body.root).toBe(graph);
    graph.remove(result.producer as Node);
    expect(x.uses.length).toBe(1);
    expect(y.producer?.graph).toBe(graph);
  });
});

describe('replace and remove', () => {
  it('keeps the name of a graph output', () => {
    const { graph, g, sum, y } = chain();
    g.at = y.producer;
    const better = g.op('Clip', [sum]);
    graph.replace(y, better);
    expect(graph.outputs).toEqual([better]);
    expect(better.name).toBe('y');
    expect(y.name).not.toBe('y');
    graph.remove(y.producer as Node);
    expect([...graph.nodes].map((node) => node.op)).toEqual(['Add', 'Clip']);
    expect(checkModel(model(graph))).toEqual([]);
  });

  it('says when an output cannot be replaced: inputs and other outputs have names of their own', () => {
    const { graph, x, w, y } = chain();
    expect(graph.canReplace(y, x)).toBe(false);
    expect(graph.canReplace(y, w)).toBe(false);
    expect(() => graph.replace(y, x)).toThrow('cannot be replaced');
  });

  it('refuses to remove what is still read, before any change', () => {
    const { graph, sum, y } = chain();
    expect(() => graph.remove(sum.producer as Node)).toThrow('still read');
    expect(() => graph.remove(y.producer as Node)).toThrow('graph output');
    expect(graph.nodeCount).toBe(2);
    expect(sum.producer?.inputs.length).toBe(2);
  });

  it('survives removal and insertion while walking', () => {
    const graph = new Graph();
    const g = new Builder(graph);
    let value = g.input('x', tensorType('float32', [1]));
    for (let i = 0; i < 6; i++) value = g.op('Neg', [value]);
    g.output(value);
    const visited: string[] = [];
    for (const node of graph.nodes) {
      visited.push(node.op);
      if (node.op !== 'Neg') continue;
      const before = node.input(0) as Value;
      const made = new Builder(graph, node).op('Abs', [before]);
      graph.replace(node.output, made);
      graph.remove(node);
    }
    expect(visited).toEqual(Array(6).fill('Neg'));
    expect([...graph.nodes].map((node) => node.op)).toEqual(Array(6).fill('Abs'));
  });
});

describe('names', () => {
  it('are fresh in the whole model part, subgraphs included', () => {
    const { graph, g } = chain();
    const body = new Graph('body');
    new Builder(body).op('Neg', [graph.inputs[0]], {}, { name: 'inner' });
    g.op('If', [g.constant('c', Tensor.of('bool', [], [1]))], { then_branch: body });
    expect(graph.fresh('x')).toBe('x_1');
    expect(graph.fresh('x')).toBe('x_2');
    expect(body.fresh('add')).toBe('add_1');
    expect(graph.fresh('inner_output')).toBe('inner_output_1');
  });
});

describe('clone', () => {
  it('shares tensors and nothing else', () => {
    const { graph, w } = chain();
    const copy = cloneGraph(graph);
    expect([...copy.initializers][0]?.data).toBe(w.data);
    copy.replace(copy.outputs[0] as Value, [...copy.nodes][0]?.output as Value);
    expect(graph.outputs[0]?.name).toBe('y');
    expect(graph.outputs[0]?.producer?.op).toBe('Relu');
    expect(checkModel(model(graph))).toEqual([]);
    expect(w.uses.length).toBe(1);
  });
});

describe('order', () => {
  it('finds a topological order, captured values included, and misses cycles', () => {
    const graph = new Graph();
    const a = new Value('a');
    const b = new Value('b');
    const c = new Value('c');
    const x = new Value('x', tensorType('float32', [1]));
    graph.inputs.push(x);
    const body = new Graph('body');
    body.append(new Node({ op: 'Neg', inputs: [b], outputs: [new Value('n')] }));
    const second = new Node({
      op: 'If',
      inputs: [a],
      outputs: [c],
      attrs: new Map([['then_branch', attr.graph(body)]]),
    });
    const first = new Node({ op: 'Abs', inputs: [x], outputs: [b] });
    const zero = new Node({ op: 'Abs', inputs: [x], outputs: [a] });
    graph.append(second);
    graph.append(first);
    graph.append(zero);
    graph.outputs.push(c);
    expect(isSorted(graph)).toBe(false);
    const order = topologicalOrder(graph);
    expect(order.at(-1)).toBe(second);
    graph.reorder(order);
    expect(isSorted(graph)).toBe(true);
    first.setInput(0, c);
    expect(topologicalOrder(graph).length).toBe(1);
    expect(checkModel(model(graph)).map((p) => p.code)).toContain('cycle');
  });
});

describe('check', () => {
  it('names duplicate names, unmade values and data of the wrong size', () => {
    const { graph, y } = chain();
    const ghost = new Value('ghost');
    graph.append(new Node({ op: 'Neg', name: 'n', inputs: [ghost], outputs: [new Value('x')] }));
    const short = Tensor.fromBytes('float32', [3], new Uint8Array(8));
    graph.addInitializer('short', short);
    graph.outputs.push(new Value('nowhere'));
    expect(y.name).toBe('y');
    expect(
      checkModel(model(graph))
        .map((p) => p.code)
        .sort(),
    ).toEqual(['data-size', 'duplicate-name', 'undefined-input', 'undefined-output']);
  });

  it('names functions that call themselves', () => {
    const body = (name: string, op: string) => {
      const graph = new Graph(name);
      const g = new Builder(graph);
      g.output(g.op(op, [g.input('a', undefined)], {}, { domain: 'f' }));
      return { name, domain: 'f', overload: '', graph, opsets: new Map<string, number>() };
    };
    const made = model(new Graph('main'));
    const parts = { attributes: [], defaults: new Map() };
    made.functions = [body('A', 'B'), body('B', 'C'), body('C', 'A'), body('D', 'A')].map((f) => ({
      ...f,
      ...parts,
    }));
    expect(checkModel(made)).toEqual([
      { code: 'recursive-function', message: 'function "A" calls itself' },
    ]);
  });
});
