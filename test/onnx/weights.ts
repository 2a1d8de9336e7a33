// Small models with weights, for tests of files.

import { Builder, Graph, Model, tensorType } from '../../src/graph/index.ts';
import { byteLengthOf, elementCount } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** x plus each weight in turn. */
export function sumOf(weights: Readonly<Record<string, Tensor>>): Model {
  const graph = new Graph('sum');
  const g = new Builder(graph);
  let sum = g.input('x', tensorType('float32', [4, 4]));
  for (const [name, data] of Object.entries(weights)) {
    sum = g.op('Add', [sum, g.constant(name, data)]);
  }
  g.output(sum, 'y');
  return new Model(graph, new Map([['', 20]]), 10);
}

export function filled(shape: readonly number[], value: number): Tensor {
  return Tensor.of('float32', shape, new Float32Array(elementCount(shape)).fill(value));
}

/** A tensor that is computed when the writer reaches it. */
export function derived(shape: readonly number[], compute: () => Promise<Uint8Array>): Tensor {
  return new Tensor('float32', shape, {
    byteLength: byteLengthOf('float32', elementCount(shape)),
    compute,
  });
}

/** The elements of an initializer. */
export function weightOf(model: Model, name: string): number[] {
  const value = [...model.graph.initializers].find((v) => v.name === name);
  return value?.data?.numbers() ?? [];
}
