// Models of a single node, and what onnxruntime makes of them: the independent word on types.

import { expect } from '@jest/globals';
import * as ort from 'onnxruntime-node';
import {
  type Attr,
  type AttrLike,
  Builder,
  Graph,
  isUnknown,
  Model,
  type Shape,
  substitute,
  symbol,
  type TensorType,
  tensorType,
} from '../../src/graph/index.ts';
import { encodeModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { type DType, elementCount, isFloat } from '../../src/tensor/dtype.ts';
import { floatsToHalves } from '../../src/tensor/float16.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

export interface Input {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Given: the input is a constant of the model; otherwise it is fed. */
  readonly values?: readonly number[];
  /** Fed integers are below this. */
  readonly below?: number;
}

export interface Case {
  readonly op: string;
  readonly domain?: string;
  readonly opset?: number;
  readonly attrs?: Readonly<Record<string, AttrLike | Attr>>;
  readonly inputs: readonly (Input | undefined)[];
  /** Which outputs the node makes; output 0 alone when left out. */
  readonly outputs?: readonly boolean[];
}

export const fed = (dtype: DType, ...shape: number[]): Input => ({ dtype, shape });
export const float = (...shape: number[]): Input => fed('float32', ...shape);
export const index = (below: number, dtype: DType, ...shape: number[]): Input => ({
  dtype,
  shape,
  below,
});
export const constant = (dtype: DType, shape: readonly number[], ...values: number[]): Input => ({
  dtype,
  shape,
  values,
});

/** The model of one case, its types not yet inferred. */
export function modelOf(test: Case, shapes?: readonly (Shape | undefined)[]): Model {
  const graph = new Graph(test.op);
  const g = new Builder(graph);
  const inputs = test.inputs.map((input, i) => {
    if (!input) return undefined;
    const { dtype, shape, values } = input;
    if (values) return g.constant(`c${i}`, tensorOf(input, new Random(i)));
    return g.input(`x${i}`, tensorType(dtype, shapes?.[i] ?? shape));
  });
  const wanted = test.outputs ?? [true];
  const options = { domain: test.domain ?? '', name: 'node' };
  g.ops(test.op, inputs, wanted.length, test.attrs ?? {}, options).forEach((output, i) => {
    output.name = wanted[i] ? `y${i}` : '';
    if (wanted[i]) graph.outputs.push(output);
  });
  const opsets = new Map([['', test.opset ?? 17]]);
  if (test.domain) opsets.set(test.domain, test.domain === 'ai.onnx.ml' ? 3 : 1);
  return new Model(graph, opsets, 10);
}

export interface Outcome {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What onnxruntime returns for a case, fed with seeded noise. */
export async function runCase(test: Case): Promise<Outcome[]> {
  const model = modelOf(test);
  inferTypes(model);
  for (const output of model.graph.outputs) {
    // onnxruntime finds out the shapes itself: ours must not reach it.
    output.type = tensorType(output.dtype);
  }
  const session = await ort.InferenceSession.create(await encodeModel(model), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  const feeds: Record<string, ort.Tensor> = {};
  test.inputs.forEach((input, i) => {
    if (!input || input.values) return;
    const tensor = tensorOf(input, new Random(i));
    feeds[`x${i}`] = new ort.Tensor(input.dtype as 'float32', tensor.values() as Float32Array, [
      ...input.shape,
    ]);
  });
  const results = await session.run(feeds);
  await session.release();
  return Object.entries(results).map(([name, { type, dims }]) => ({
    name,
    dtype: type as DType,
    shape: dims,
  }));
}

/** Our word: types of the outputs by name. */
export function inferCase(test: Case, shapes?: readonly (Shape | undefined)[]) {
  const model = modelOf(test, shapes);
  const problems = inferTypes(model);
  const types = new Map<string, TensorType>();
  for (const { name, type } of model.graph.outputs)
    if (type?.kind === 'tensor') types.set(name, type);
  return { model, problems, types };
}

/**
 * Our types equal onnxruntime's. Once more with a symbol for every size that is fed: what comes out
 * must be the same once the sizes are put in, or be said to be unknown.
 */
export async function expectSameTypes(test: Case): Promise<void> {
  const { problems, types } = inferCase(test);
  const results = await runCase(test);
  expect(problems).toEqual([]);
  expect(results.length).toBeGreaterThan(0);
  const symbolic = inferCase(
    test,
    test.inputs.map((input) => input?.shape.map((size) => symbol(`d${size}`))),
  );
  expect(symbolic.problems).toEqual([]);
  const sizes = new Map(
    test.inputs.flatMap((input) => (input?.shape ?? []).map((size) => [`d${size}`, size] as const)),
  );
  for (const { name, dtype, shape } of results) {
    expect({ name, type: types.get(name) }).toEqual({ name, type: tensorType(dtype, [...shape]) });
    symbolic.types.get(name)?.shape?.forEach((dim, axis) => {
      if (!isUnknown(dim)) expect([axis, substitute(dim, sizes)]).toEqual([axis, shape[axis]]);
    });
  }
}

function tensorOf({ dtype, shape, values, below }: Input, random: Random): Tensor {
  const count = elementCount(shape);
  const draw = () => (isFloat(dtype) ? random.normal() : random.integer(below ?? 2));
  const numbers = values ?? Array.from({ length: count }, draw);
  if (dtype === 'float16') {
    return Tensor.of(dtype, shape, floatsToHalves(Float32Array.from(numbers)));
  }
  return Tensor.of(dtype, shape, numbers);
}
