// Low-rank adapters (LoRA, Hu et al. 2021): a weight W stays as it is, and what is trained is a change
// of low rank beside it, W + α/r · A·B, with A [rows, r] and B [r, columns]; B starts at zero. The
// change is added to the weight and not to its results, so that it is the same for MatMul, Gemm,
// convolutions and embeddings, and merging is what the graph computes anyway.

import { Builder, type Model, type Use, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';

export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  readonly seed: number;
  applies(weight: Value): boolean;
}

export interface Adapter {
  /** Name of the weight it stands beside. */
  readonly weight: string;
  readonly a: string;
  readonly b: string;
  readonly scale: number;
}

/** Puts adapters beside weights, in place; the parameters to train are those that are returned. */
export function addAdapters(model: Model, options: LoraOptions): Adapter[] {
  const chosen = [...model.graph.initializers].filter(
    (value) => isWeight(value) && options.applies(value),
  );
  return chosen.map((weight) => addAdapter(model, weight, options));
}

const USERS: Readonly<Record<string, number>> = {
  MatMul: 1,
  Gemm: 1,
  Conv: 1,
  ConvTranspose: 1,
  Gather: 0,
};

function isWeight(value: Value): boolean {
  const rank = value.data?.shape.length ?? 0;
  if (rank < 2 || value.dtype !== 'float32' || value.uses.length === 0) return false;
  return readersOf(value).every(({ node, index }) => USERS[node.op] === index);
}

/** Who reads a weight, through the pair of operators that fake quantisation puts behind it. */
function readersOf({ uses }: Value): readonly Use[] {
  const [use, ...others] = uses;
  if (!use || others.length > 0 || use.node.op !== 'QuantizeLinear' || use.index > 0) return uses;
  const behind = use.node.output.uses;
  return behind.flatMap(({ node }) => node.outputs.flatMap((value) => value.uses));
}

function addAdapter(model: Model, weight: Value, options: LoraOptions): Adapter {
  const shape = weight.data?.shape ?? [];
  const [rows, columns] = [shape[0] ?? 1, shape.slice(1).reduce((x, y) => x * y, 1)];
  const rank = Math.min(options.rank, rows, columns);
  const readers = [...weight.uses];
  const [first] = [...model.graph.nodes].filter((node) => readers.some((use) => use.node === node));
  const g = new Builder(model.graph, first, (node) => inferNode(model, node));
  const random = new Random(options.seed, `adapter of ${weight.name}`);
  const start = Float32Array.from({ length: rows * rank }, () => random.normal() / Math.sqrt(rows));
  const a = g.constant(`${weight.name}#lora_a`, Tensor.of('float32', [rows, rank], start));
  const zeros = new Float32Array(rank * columns);
  const b = g.constant(`${weight.name}#lora_b`, Tensor.of('float32', [rank, columns], zeros));
  const scale = options.alpha / rank;
  const change = g.op('Mul', [
    g.op('MatMul', [a, b]),
    g.constant('scale', Tensor.scalar('float32', scale)),
  ]);
  const shaped =
    shape.length === 2
      ? change
      : g.op('Reshape', [change, g.constant('shape', Tensor.int64(shape))]);
  const changed = g.op('Add', [weight, shaped]);
  for (const { node, index } of readers) node.setInput(index, changed);
  return { weight: weight.name, a: a.name, b: b.name, scale };
}

/** The weight with its change in it. */
export function merged(weight: Tensor, a: Tensor, b: Tensor, scale: number): Tensor {
  const [rows = 0, rank = 0] = a.shape;
  const columns = b.shape[1] ?? 0;
  const [x, y] = [a.values() as Float32Array, b.values() as Float32Array];
  const sum = Float32Array.from(weight.values() as Float32Array);
  const change = new Float32Array(columns);
  for (let i = 0; i < rows; i++) {
    change.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = x[i * rank + k] as number;
      for (let j = 0; j < columns; j++) {
        change[j] = (change[j] as number) + factor * (y[k * columns + j] as number);
      }
    }
    for (let j = 0; j < columns; j++) {
      sum[i * columns + j] = (sum[i * columns + j] as number) + scale * (change[j] as number);
    }
  }
  return Tensor.of('float32', weight.shape, sum);
}
