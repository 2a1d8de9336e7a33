// The driver: what a wrong pass, a failing pass and a slow check do to a run.

import { describe, expect, it } from '@jest/globals';
import { XformError } from '../../src/errors/error.ts';
import { attr, type Model, printModel } from '../../src/graph/index.ts';
import { type Check, makeCheck } from '../../src/passes/check.ts';
import { passes } from '../../src/passes/index.ts';
import { type Pass, rewrite } from '../../src/passes/pass.ts';
import { runPasses } from '../../src/passes/run.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { parseModel } from '../helpers/parse.ts';

const run = createRunner();

const CHAIN = `g (float[2] x) => (float[2] y) {
  [one] a = LeakyRelu <alpha = 0.1> (x)
  [two] b = Exp (a)
  [three] c = LeakyRelu <alpha = 0.2> (b)
  [four] d = LeakyRelu <alpha = 0.3> (x)
  [five] e = Add (c, d)
  [six] f = Identity (e)
  [seven] y = Neg (f)
}`;

/** Takes every LeakyRelu for a Relu: wrong only where something negative comes in. */
const wrong: Pass = rewrite({
  name: 'wrong',
  summary: 'Makes Relu of LeakyRelu',
  on: 'LeakyRelu',
  apply(node) {
    if (node.float('alpha') === 0) return undefined;
    node.setAttr('alpha', attr.float(0));
    return true;
  },
});

const feeds = (...values: number[]) => new Map([['x', Tensor.of('float32', [2], values)]]);
const named = (name: string): Pass => {
  const found = passes.find((pass) => pass.name === name);
  if (!found) throw new Error(name);
  return found;
};
const ops = (model: Model) => [...model.graph.nodes].map((node) => node.op);

describe('runPasses', () => {
  it('takes a wrong pass back, names it, and goes on with the others', async () => {
    const model = parseModel(CHAIN);
    const check = await makeCheck(model, run, [feeds(1, 2), feeds(-1, 3)]);
    const all = [wrong, named('drop-identity')];
    const result = await runPasses(model, all, { run, level: 'basic', check });
    const undone = result.steps.filter((step) => step.undone);
    expect(undone.map((step) => [step.pass, step.round])).toEqual([['wrong', 1]]);
    expect(undone[0]?.undone).toMatch(/^output "y" differs in 1 of 2 elements, by up to 0\.\d+/);
    expect(undone[0]?.nodes_after).toBe(7);
    expect(ops(result.model)).toEqual(['LeakyRelu', 'Exp', 'LeakyRelu', 'LeakyRelu', 'Add', 'Neg']);
    expect(result.changed).toBe(true);
    expect(result.settled).toBe(true);
  });

  it('finds the node with which a pass goes wrong', async () => {
    const model = parseModel(CHAIN);
    // The first LeakyRelu reads an input of its own here, which is not negative.
    const harmless = parseModel(
      CHAIN.replace('(x)\n  [two]', '(z)\n  [two]').replace(
        '(float[2] x)',
        '(float[2] x, float[2] z)',
      ),
    );
    const both = (x: number[], z: number[]) =>
      new Map([...feeds(...x), ['z', Tensor.of('float32', [2], z)] as const]);
    const bisect = { run, level: 'basic', bisect: true } as const;
    const first = await makeCheck(model, run, [feeds(-1, 3)]);
    const one = await runPasses(model, [wrong], { ...bisect, check: first });
    expect(one.steps[0]?.culprit).toBe('node "one" (LeakyRelu)');
    const last = await makeCheck(harmless, run, [both([-1, 3], [1, 2])]);
    const four = await runPasses(harmless, [wrong], { ...bisect, check: last });
    expect(four.steps[0]?.culprit).toBe('node "four" (LeakyRelu)');
    expect(four.changed).toBe(false);
  });

  it('undoes a pass that throws or breaks the structure; errors of files go through', async () => {
    const model = parseModel(CHAIN);
    const failing: Pass = {
      name: 'failing',
      summary: '',
      level: 'basic',
      run(m) {
        for (const node of m.graph.nodes) if (node.op === 'Identity') node.setInput(0, undefined);
        throw new Error('out of ideas\nsecond line');
      },
    };
    const cutting: Pass = {
      name: 'cutting',
      summary: '',
      level: 'basic',
      run(m) {
        m.graph.outputs = m.graph.outputs.map((v) => Object.assign(Object.create(v), v));
        return true;
      },
    };
    const result = await runPasses(model, [failing, cutting], { run, level: 'basic' });
    expect(result.steps.map((step) => step.undone)).toEqual([
      'it failed: out of ideas',
      expect.stringContaining('made by nothing'),
    ]);
    expect(printModel(result.model)).toBe(printModel(model));
    const reading: Pass = {
      ...failing,
      run: () => {
        throw new XformError({ kind: 'model', code: 'gone', message: 'the file is gone' });
      },
    };
    await expect(runPasses(model, [reading], { run, level: 'basic' })).rejects.toThrow('gone');
  });

  it('undoes a pass after which onnxruntime refuses the model', async () => {
    const model = parseModel(CHAIN);
    const check = await makeCheck(model, run, [feeds(1, 2)]);
    const bad = rewrite({
      name: 'bad',
      summary: '',
      on: 'Exp',
      apply(node) {
        if (node.attrs.has('nonsense')) return undefined;
        node.setAttr('nonsense', attr.int(1));
        return true;
      },
    });
    const { steps, changed } = await runPasses(model, [bad], { run, level: 'basic', check });
    expect(steps[0]?.undone).toMatch(/^it does not run any more: .*nonsense/);
    expect(changed).toBe(false);
  });

  it('checks once a round where that takes long, and still finds the pass that is wrong', async () => {
    const model = parseModel(CHAIN);
    const quick = await makeCheck(model, run, [feeds(-1, 3)]);
    let runs = 0;
    const slow: Check = {
      ...quick,
      ms: 60_000,
      compare(candidate) {
        runs += 1;
        return quick.compare(candidate);
      },
    };
    const good = [named('drop-identity'), named('merge-common'), named('drop-dead')];
    const fine = await runPasses(model, good, { run, level: 'basic', check: slow });
    expect([fine.changed, runs]).toEqual([true, 1]);
    const mixed = await runPasses(model, [wrong, ...good], { run, level: 'basic', check: slow });
    expect(mixed.steps.filter((step) => step.undone).map((step) => step.pass)).toEqual(['wrong']);
    expect(printModel(mixed.model)).toBe(printModel(fine.model));
  });

  it('ends when passes undo each other', async () => {
    const flip = (from: string, to: string): Pass =>
      rewrite({
        name: `${from}-${to}`,
        summary: '',
        on: 'LeakyRelu',
        apply(node) {
          if (node.float('alpha') !== Number(from)) return undefined;
          node.setAttr('alpha', attr.float(Number(to)));
          return true;
        },
      });
    const result = await runPasses(parseModel(CHAIN), [flip('0.5', '0.25'), flip('0.25', '0.5')], {
      run,
      level: 'basic',
      maxRounds: 3,
    });
    expect(result.settled).toBe(true);
    const model = parseModel(CHAIN.replace('alpha = 0.1', 'alpha = 0.5'));
    const endless = await runPasses(model, [flip('0.5', '0.25'), flip('0.25', '0.5')], {
      run,
      level: 'basic',
      maxRounds: 3,
    });
    expect(endless.settled).toBe(false);
  });
});

describe('makeCheck', () => {
  it('leaves out inputs that the original does not take, unless it takes none', async () => {
    const model = parseModel('g (float[2, N] x, float[2] z) => (float[2, 2] y) { y = Add (x, z) }');
    const input = (n: number) =>
      new Map([
        ['x', Tensor.of('float32', [2, n], new Float32Array(2 * n))],
        ['z', Tensor.of('float32', [2], [1, 2])],
      ]);
    const check = await makeCheck(model, run, [input(3), input(2)]);
    expect(await check.compare(model.clone())).toBeUndefined();
    await expect(makeCheck(model, run, [input(3)])).rejects.toThrow();
  });

  it('says nothing about random outputs, but still about the others', async () => {
    const model = parseModel(`g (float[2] x) => (float[2] r, float[2] y) {
      n = RandomNormalLike (x)
      r = Add (n, x)
      y = LeakyRelu <alpha = 0.1> (x)
    }`);
    const check = await makeCheck(model, run, [feeds(-1, 2)]);
    expect(check.random).toEqual(['r']);
    expect(await check.compare(model)).toBeUndefined();
    const { model: other } = await runPasses(model, [wrong], { run, level: 'basic' });
    expect(await check.compare(other)).toMatch(/output "y" differs/);
  });

  it('allows rounding another way in quantized models, but no other function', async () => {
    const text = (
      scale: number,
    ) => `g (float[4] x) => (float[4] y) <float s = {${scale}}, uint8 z = {128}> {
      q = QuantizeLinear (x, s, z)
      y = DequantizeLinear (q, s, z)
    }`;
    const values = Float32Array.of(1.004, -0.5, 0.3, 0.99);
    const input = new Map([['x', Tensor.of('float32', [4], values)]]);
    const check = await makeCheck(parseModel(text(0.01)), run, [input]);
    expect(await check.compare(parseModel(text(0.0101)))).toBeUndefined();
    expect(await check.compare(parseModel(text(0.5)))).toMatch(/differs/);
  });
});
