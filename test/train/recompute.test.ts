// Recomputation: the same results, and nothing of the inside of a segment is kept for the way back.

import { expect, it } from '@jest/globals';
import type { Model, Node, Value } from '../../src/graph/index.ts';
import { isSorted } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { trainBatchNorms } from '../../src/train/batchnorm.ts';
import { differentiate } from '../../src/train/differentiate.ts';
import { Formula } from '../../src/train/formula.ts';
import { recompute } from '../../src/train/recompute.ts';
import { parseModel } from '../helpers/parse.ts';
import { type Case, steps } from './training.ts';

const DEPTH = 12;
const WIDTH = 8;

/** Residual blocks: x + W₂ tanh(W₁ x). */
function deep(batch: number): string {
  const blocks = Array.from({ length: DEPTH }, (_, i) => i);
  const weights = blocks.flatMap((i) => [`a${i}`, `b${i}`]);
  const declared = weights.map((name) => `float[${WIDTH}, ${WIDTH}] ${name} = random`);
  const nodes = blocks.map(
    (i) =>
      `p${i} = MatMul(x${i}, a${i}) t${i} = Tanh(p${i}) q${i} = MatMul(t${i}, b${i}) s${i} = Sigmoid(q${i}) x${i + 1} = Add(x${i}, s${i})`,
  );
  return `g (float[${batch}, ${WIDTH}] x0) => (float[${batch}, ${WIDTH}] x${DEPTH}) <${declared.join(', ')}> { ${nodes.join('\n')} }`;
}

function wave(size: number): number[] {
  return Array.from({ length: size }, (_, i) => Math.sin(i));
}

async function trained(one: Case, batch: number) {
  const count = 2;
  const feeds = new Map([
    ['x0', Tensor.of('float32', [count, batch, WIDTH], wave(count * batch * WIDTH))],
    ['target/labels', Tensor.of('float32', [count, batch, WIDTH], wave(count * batch * WIDTH))],
  ]);
  return steps(one, feeds, [0.1, 0.1]);
}

it('gives the same weights', async () => {
  const text = deep(4);
  const kept = await trained({ text }, 4);
  const again = await trained({ text, plan: { recompute: true } }, 4);
  expect([...again]).toEqual([...kept]);
  expect(kept.get('a0')?.every(Number.isFinite)).toBe(true);
});

interface Differentiated {
  readonly model: Model;
  readonly forward: ReadonlySet<Node>;
}

function differentiated(text: string): Differentiated {
  const model = parseModel(text);
  model.opsets.set('', 21);
  inferTypes(model);
  const [output] = model.graph.outputs as [Value];
  const loss = new Formula(model).sum(output);
  const forward = new Set(model.graph.nodes);
  const gradients = differentiate(model, loss, [...model.graph.initializers].slice(0, 2 * DEPTH));
  model.graph.outputs = [loss, ...gradients.values()];
  return { model, forward };
}

/** Float values of the forward pass that something outside of it reads. */
function keptFor({ model, forward }: Differentiated): string[] {
  const made = [...forward].flatMap((node) => node.outputs);
  expect(isSorted(model.graph)).toBe(true);
  return made
    .filter(({ uses }) => uses.some(({ node }) => !forward.has(node)))
    .map(({ name }) => name);
}

it('keeps what goes from segment to segment, and what lies before the loss', () => {
  const plain = differentiated(deep(4));
  const saving = differentiated(deep(4));
  const segments = recompute(saving.model, saving.forward);
  expect(segments).toBeGreaterThanOrEqual(3);
  // Of each block: the tanh, the sigmoid, and where it began.
  expect(keptFor(plain).length).toBeGreaterThanOrEqual(3 * DEPTH - 1);
  expect(keptFor(saving).length).toBeLessThan(1.5 * DEPTH);
});

it('counts each batch once in running statistics', async () => {
  const layer = (i: number) =>
    `p${i} = MatMul(x${i}, w${i}) x${i + 1} = BatchNormalization(p${i}, s${i}, h${i}, m${i}, v${i})`;
  const numbers = [0, 1, 2, 3, 4, 5];
  const ones = `{${new Array(WIDTH).fill(1).join(', ')}}`;
  const declared = numbers.flatMap((i) => [
    `float[${WIDTH}, ${WIDTH}] w${i} = random`,
    ...['s', 'h', 'm', 'v'].map((letter) => `float[${WIDTH}] ${letter}${i} = ${ones}`),
  ]);
  const text = `g (float[4, ${WIDTH}] x0) => (float[4, ${WIDTH}] x6) <${declared.join(', ')}> { ${numbers.map(layer).join('\n')} }`;
  const run = (recompute: boolean) =>
    trained(
      { text, plan: { recompute }, prepare: (model) => trainBatchNorms(model, () => false) },
      4,
    );
  const [kept, again] = [await run(false), await run(true)];
  expect([...again]).toEqual([...kept]);
  expect(kept.get('m0')).not.toEqual(Float32Array.from({ length: WIDTH }, () => 1));
});
