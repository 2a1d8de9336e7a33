// Weights too big to be held: what is folded of them waits until somebody writes or runs the model.

import { expect, it } from '@jest/globals';
import { Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { inferNode } from '../../src/ops/index.ts';
import foldConstants from '../../src/passes/optimize/fold-constants.ts';
import mergeDuplicates from '../../src/passes/optimize/merge-duplicates.ts';
import { runPasses } from '../../src/passes/run.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { type ByteSource, Tensor } from '../../src/tensor/tensor.ts';

const run = createRunner();

/** Bytes that are made up when they are read; counts how many were. */
class Ramp implements ByteSource {
  readonly byteLength: number;
  readBytes = 0;
  readonly #start: number;

  constructor(elements: number, start: number) {
    this.byteLength = elements * 4;
    this.#start = start;
  }

  read(offset: number, length: number): Uint8Array {
    this.readBytes += length;
    const values = Float32Array.from(
      { length: Math.ceil(length / 4) },
      (_, i) => (this.#start + offset / 4 + i) % 1009,
    );
    return new Uint8Array(values.buffer).subarray(0, length);
  }
}

it('large transposed weights are computed when they are read', async () => {
  // 69 MB each.
  const [rows, columns] = [4200, 4100];
  const model = new Model(new Graph('large'), new Map([['', 17]]));
  const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  const x = g.input('x', tensorType('float32', [symbol('N'), columns]));
  const source = new Ramp(rows * columns, 0);
  const w = g.constant('w', new Tensor('float32', [rows, columns], source));
  const wt = g.op('Transpose', [w], { perm: [1, 0] });
  g.output(g.op('MatMul', [x, wt]), 'y');
  const result = await runPasses(model, [foldConstants], { run, level: 'basic' });
  expect(source.readBytes).toBe(0);
  expect([...result.model.graph.nodes].map((node) => node.op)).toEqual(['MatMul']);
  const folded = [...result.model.graph.initializers].find((value) => value.name === wt.name)?.data;
  expect([folded?.isDerived, folded?.shape]).toEqual([true, [columns, rows]]);
  const values = new Float32Array(((await folded?.load()) ?? new Uint8Array()).slice().buffer);
  expect(values.length).toBe(rows * columns);
  for (const [i, k] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [4099, 4199],
    [1234, 3210],
  ] as const) {
    expect(values[i * rows + k]).toBe((k * columns + i) % 1009);
  }
});

it('weights that differ in a sample are not read', async () => {
  const model = new Model(new Graph('many'), new Map([['', 17]]));
  const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  const sources = [1, 2, 3, 1].map((start) => new Ramp(1 << 20, start));
  let value = g.input('x', tensorType('float32', [1 << 20]));
  for (const source of sources) {
    const w = g.constant('w', new Tensor('float32', [1 << 20], source));
    value = g.op('Add', [value, w]);
  }
  g.output(value, 'y');
  const result = await runPasses(model, [mergeDuplicates], { run, level: 'basic', maxRounds: 1 });
  expect(result.model.graph.initializers.size).toBe(3);
  const [one, two, three, again] = sources.map((source) => source.readBytes);
  expect([two, three].every((bytes) => (bytes ?? 0) < 100_000)).toBe(true);
  expect([one, again].every((bytes) => (bytes ?? 0) >= 4 << 20)).toBe(true);
});
