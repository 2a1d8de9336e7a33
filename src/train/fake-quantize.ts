// Fake quantisation: a statically quantised model with its float weights back, each behind a
// QuantizeLinear of its own, so that it computes what the quantised model computes and can be trained.
// What training makes of weights and scales goes back into the quantised model as codes.
// Biases are trained as floats, and rounded as they will be stored where the model is judged: their
// steps, products of two scales, are too fine to matter for gradients.

import { Builder, type Model, type Node, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { roundHalfEven } from '../tensor/affine.ts';
import { type ArrayScheme, codeBytes, codesOf } from '../tensor/affine-array.ts';
import { byteLengthOf } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import { Tensor } from '../tensor/tensor.ts';

/** A constant that is stored as integers; names of initializers, `float` in the trainable model. */
export interface FakeWeight {
  readonly float: string;
  readonly codes: string;
  readonly scale: string;
  readonly zeroPoint: string;
  readonly axis: number | undefined;
}

/** A bias of int32, whose scale is the product of those of the operands. */
export interface FakeBias {
  readonly float: string;
  readonly codes: string;
  readonly scale: string;
  readonly operands: readonly [activation: string, weight: string];
}

export interface FakeQuantized {
  /** The trainable model; it has the names of the quantised one. */
  readonly model: Model;
  readonly weights: readonly FakeWeight[];
  readonly biases: readonly FakeBias[];
}

/** Makes a quantised model trainable; `floats`: what constants were before, by the names of their codes. */
export function fakeQuantize(quantized: Model, floats: ReadonlyMap<string, Tensor>): FakeQuantized {
  const model = quantized.clone();
  const weights: FakeWeight[] = [];
  const biases: FakeBias[] = [];
  for (const node of [...model.graph.nodes]) {
    const codes = node.op === 'DequantizeLinear' ? node.inputs[0] : undefined;
    if (!codes?.data) continue;
    const float = floats.get(codes.name);
    if (float) weights.push(freeWeight(model, node, float));
    else if (codes.dtype === 'int32') biases.push(freeBias(model, node));
  }
  return { model, weights, biases };
}

/** W -> QuantizeLinear -> DequantizeLinear in the place of codes -> DequantizeLinear. */
function freeWeight(model: Model, node: Node, data: Tensor): FakeWeight {
  const { graph } = model;
  const [codes, scale, zeroPoint] = node.inputs as [Value, Value, Value];
  const float = graph.addInitializer(floatName(codes), data);
  const axis = scale.shape?.length ? node.int('axis', 1) : undefined;
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const attrs = axis === undefined ? {} : { axis };
  const rounded = g.op('QuantizeLinear', [float, scale, zeroPoint], attrs);
  node.setInput(0, rounded);
  graph.removeInitializer(codes);
  const names = { codes: codes.name, scale: scale.name, zeroPoint: zeroPoint.name };
  return { float: float.name, ...names, axis };
}

/** A float in the place of codes -> DequantizeLinear. */
function freeBias(model: Model, node: Node): FakeBias {
  const { graph } = model;
  const [codes, scale, zeroPoint] = node.inputs as [Value, Value, Value];
  const [reader] = node.output.uses;
  const operands = [0, 1].map((i) => reader?.node.inputs[i]?.producer?.inputs[1]?.name ?? '');
  const steps = elementsOf(scale.data as Tensor) as Float32Array;
  const numbers = Float32Array.from(
    elementsOf(codes.data as Tensor) as Int32Array,
    (code, i) => code * (steps[steps.length === 1 ? 0 : i] as number),
  );
  const data = Tensor.of('float32', codes.data?.shape ?? [], numbers);
  const float = graph.addInitializer(floatName(codes), data);
  graph.replace(node.output, float);
  graph.remove(node);
  for (const value of [codes, scale, zeroPoint]) graph.removeInitializer(value);
  return {
    float: float.name,
    codes: codes.name,
    scale: scale.name,
    operands: operands as [string, string],
  };
}

function floatName({ name }: Value): string {
  return name.replace(/_quantized(_\d+)?$/, '');
}

/** Beyond this float32 has no integers that int32 has, too. */
const LARGEST = 2 ** 31 - 128;

/** Rounds biases in place as `quantizedWeights` stores them. */
export function roundBiases(model: Model, biases: readonly FakeBias[]): void {
  const named = new Map([...model.graph.initializers].map((value) => [value.name, value]));
  for (const { float, operands } of biases) {
    const bias = named.get(float) as Value;
    const readers = [...bias.uses];
    const g = new Builder(model.graph, readers[0]?.node, (made) => inferNode(model, made));
    const bound = (size: number) => g.constant('bound', Tensor.scalar('float32', size));
    const step = g.op(
      'Mul',
      operands.map((name) => named.get(name)),
    );
    const code = g.op('Round', [g.op('Div', [bias, step])]);
    const fitting = g.op('Clip', [code, bound(-LARGEST), bound(LARGEST)]);
    const rounded = g.op('Mul', [fitting, step]);
    for (const { node, index } of readers) node.setInput(index, rounded);
  }
}

/** Weights of the quantised model, by name, from those of the trainable one. */
export function quantizedWeights(
  { weights, biases, model }: FakeQuantized,
  trained: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> {
  const initial = new Map([...model.graph.initializers].map(({ name, data }) => [name, data]));
  const of = (name: string) => (trained.get(name) ?? initial.get(name)) as Tensor;
  const stored = new Map(trained);
  for (const { float, codes, scale, zeroPoint, axis } of weights) {
    stored.delete(float);
    stored.set(codes, codesTensor(of(float), of(scale), of(zeroPoint), axis));
  }
  for (const { float, codes, scale, operands } of biases) {
    stored.delete(float);
    const [x, w] = operands.map((name) => of(name).numbers()) as [number[], number[]];
    const steps = Float32Array.from(w, (step) => step * (x[0] as number));
    stored.set(scale, Tensor.of('float32', of(operands[1]).shape, steps));
    stored.set(codes, biasCodes(of(float), steps));
  }
  return stored;
}

/** Computed when somebody reads it. */
function codesTensor(
  float: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  axis: number | undefined,
): Tensor {
  const type = zeroPoint.dtype as ArrayScheme['type'];
  const affines = {
    scales: elementsOf(scale) as Float32Array,
    zeroPoints: elementsOf(zeroPoint) as Int8Array,
  };
  return new Tensor(type, float.shape, {
    byteLength: byteLengthOf(type, float.size),
    compute: async () =>
      codeBytes(type, await codesOf(float, { type, symmetric: false, axis }, affines)),
  });
}

function biasCodes(float: Tensor, steps: Float32Array): Tensor {
  const codes = Int32Array.from(elementsOf(float) as Float32Array, (x, i) => {
    const code = roundHalfEven(Math.fround(x / (steps[steps.length === 1 ? 0 : i] as number)));
    return Math.min(LARGEST, Math.max(-LARGEST, code));
  });
  return Tensor.of('int32', float.shape, codes);
}
