import { describe, expect, it } from '@jest/globals';
import { checkModel, Graph, Model, printModel, Value } from '../../src/graph/index.ts';
import { parseModel } from '../helpers/parse.ts';

const EVERYTHING = `<ir_version: 9, opset_import: ["" : 18, "local" : 1, "com.microsoft" : 1]>
test (float[N, 4] x, int64 i, float[N*2 + 1, ?] y, float[] z, seq(float[N]) s, bool cond) => (float[N, 4] r, int64[2] "odd name/0")
<
   float[4] w = {1, -2.5, 0.1, 1e-7},
   float16[2] h = {1, nan},
   int64 k = {9007199254740993},
   string[2] t = {"a b", "ü"},
   double[1] d = {0.1},
   float[2] f = {inf, -inf}
>
{
   [n0] a = Add (x, w)
   b, , c = Made.By.split <axis = -1, alpha = 1.0, mode = "x", ints = [1, 2], floats = [0.5, 2.0], none: ints = []> (a, , w)
   r = If <then_branch = yes () => (float[N, 4] p)
   <
      float e = {1}
   >
   {
      p = Mul (a, e)
   }, else_branch = no () => (float[N, 4] q)
   {
      q = Identity (x)
   }> (cond)
   "odd name/0" = Constant <value = int64[2] {3, -4}> ()
   l = local.f <beta = 2.0> (r)
}
<domain: "local", opset_import: ["" : 18]>
f <gamma, beta = 1.0> (u) => (v)
{
   v = LeakyRelu <alpha = @beta> (u)
}`;

describe('graphs as text', () => {
  it('are what was parsed', () => {
    const model = parseModel(EVERYTHING);
    expect(printModel(model)).toBe(EVERYTHING);
    expect(checkModel(model)).toEqual([]);
  });

  it('capture values of the graphs around them', () => {
    const model = parseModel(EVERYTHING);
    const add = [...model.graph.nodes][0];
    expect(add?.output.uses.map((use) => use.node.op)).toEqual(['split', 'Mul']);
  });

  it('leave large data and unwanted names out', () => {
    const model = parseModel(
      'g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { [n] y = Mul (x, w) }',
    );
    const text = printModel(model, { names: false, maxElements: 1 });
    expect(text).toContain('float[2] w = {...}');
    expect(text).toContain('   y = Mul (x, w)');
  });

  it('print values without a type', () => {
    const graph = new Graph('g');
    graph.inputs.push(new Value('x'));
    expect(printModel(new Model(graph, new Map([['', 7]])))).toContain('g (x) => ()');
  });
});
