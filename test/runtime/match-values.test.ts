import { describe, expect, it } from '@jest/globals';
import { Builder, Graph, tensorType, type Value } from '../../src/graph/index.ts';
import { matchPorts } from '../../src/runtime/match-ports.ts';
import { matchValues } from '../../src/runtime/match-values.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** A chain of operators on x, each output named as told; `Grow` adds an axis. */
function chain(...steps: (readonly [op: string, name: string])[]): Graph {
  const graph = new Graph('chain');
  const g = new Builder(graph);
  let value: Value = g.input('x', tensorType('float32', [2, 3]));
  let shape = [2, 3];
  for (const [op, name] of steps) {
    if (op === 'Grow') shape = [4, 2, 3];
    value = g.op(op, [value]);
    value.name = name;
    value.type = tensorType(op === 'IsNaN' ? 'bool' : 'float32', shape);
  }
  g.output(value);
  return graph;
}

const matches = (a: Graph, b: Graph) =>
  matchValues(a, b).pairs.map((p) => `${p.expected.name}=${p.actual.name} ${p.by}`);

describe('matchValues', () => {
  it('matches equal names first', () => {
    const a = chain(['Relu', 'r'], ['Add', 's'], ['Abs', 'y']);
    const b = chain(['Relu', 'r'], ['Abs', 'y']);
    expect(matches(a, b)).toEqual(['r=r name', 'y=y name']);
    expect(matchValues(a, b).total).toBe(3);
  });

  it('aligns operators between names', () => {
    const a = chain(['Relu', 'a1'], ['Add', 'a2'], ['Mul', 'a3'], ['Abs', 'mid'], ['Neg', 'a4']);
    const b = chain(['Relu', 'b1'], ['Mul', 'b3'], ['Abs', 'mid'], ['Exp', 'b5'], ['Neg', 'b4']);
    expect(matches(a, b)).toEqual([
      'a1=b1 position',
      'a3=b3 position',
      'mid=mid name',
      'a4=b4 position',
    ]);
  });

  it('never matches across a value matched by name', () => {
    const a = chain(['Neg', 'a1'], ['Abs', 'mid']);
    const b = chain(['Abs', 'mid'], ['Neg', 'b1']);
    expect(matches(a, b)).toEqual(['mid=mid name']);
  });

  it('keeps the larger part when names cross', () => {
    const a = chain(['Relu', 'p'], ['Abs', 'q'], ['Exp', 'u'], ['Neg', 'r']);
    const b = chain(['Neg', 'r'], ['Relu', 'p'], ['Abs', 'q'], ['Exp', 'v']);
    expect(matches(a, b)).toEqual(['p=p name', 'q=q name', 'u=v position', 'r=r name']);
  });

  it('leaves out values of different shape or sort', () => {
    const grown = chain(['Grow', 'y'], ['Relu', 'z']);
    expect(matches(chain(['Relu', 'y'], ['Relu', 'z']), grown)).toEqual([]);
    const flags = chain(['IsNaN', 'y']);
    expect(matches(chain(['Relu', 'y']), flags)).toEqual([]);
  });

  it('leaves out what no input reaches', () => {
    const graph = chain(['Relu', 'y']);
    const g = new Builder(graph);
    g.op('Neg', [g.constant('w', Tensor.of('float32', [1], [1]))]).name = 'constant';
    expect(matchValues(graph, graph)).toMatchObject({ total: 1 });
  });
});

describe('matchPorts', () => {
  it('goes by name, then by position', () => {
    const values = (...names: string[]) => {
      const g = new Builder(new Graph());
      return names.map((name) => g.input(name, tensorType('float32', [1])));
    };
    const match = matchPorts(values('a', 'b', 'c', 'd'), values('p', 'b', 'q'));
    expect(match.pairs.map(([a, b]) => `${a.name}=${b.name}`)).toEqual(['a=p', 'b=b', 'c=q']);
    expect(match.onlyExpected.map((v) => v.name)).toEqual(['d']);
    expect(match.onlyActual).toEqual([]);
  });
});
