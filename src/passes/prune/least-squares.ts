// Repair without training: a layer that lost inputs gets weights with which it comes closest, over data,
// to what it gave before (He et al. 2017): see `normal-equations`. Layers follow each other, each behind
// those before it.

import { Builder, Graph, Model, tensorType, unknownDim, type Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Runner } from '../pass.ts';
import type { Choice } from './cut.ts';
import { SUMS, Sums, solve } from './normal-equations.ts';
import { inputsHidden } from './sparse/layer-inputs.ts';
import { patches } from './sparse/patches.ts';
import { findProducts, laidOut, type Product, rowsOf } from './sparse/products.ts';

/** Runs a model over the data; calls back with the values named, batch by batch. */
export interface PairedObserver {
  both(
    original: { readonly model: Model; readonly names: readonly string[] },
    pruned: { readonly model: Model; readonly names: readonly string[] },
    visit: (
      original: ReadonlyMap<string, Tensor>,
      pruned: ReadonlyMap<string, Tensor>,
    ) => Promise<void>,
  ): Promise<void>;
}

/** Solving takes width³ / 3 multiplications. */
const MAX_WIDTH = 1536;
export interface Repaired {
  readonly layer: string;
  readonly reason?: string | undefined;
}

/**
 * Refits, in place, layers of `pruned` that read fewer inputs than those of `original`. Choices are
 * those of the cut, told of `original`.
 */
export async function refit(
  original: Model,
  pruned: Model,
  choices: readonly Choice[],
  observer: PairedObserver,
  run: Runner,
  progress?: () => void,
): Promise<Repaired[]> {
  const before = new Map(
    findProducts(original, NONE).products.map((product) => [keyOf(product), product]),
  );
  const gone = goneOf(choices);
  const done: Repaired[] = [];
  for (const product of findProducts(pruned, NONE).products) {
    const old = before.get(keyOf(product));
    if (!old || old.width === product.width) continue;
    const isShared = product.weight.uses.length > 1;
    const shared = isShared ? 'its weight is shared' : undefined;
    const grouped = product.groups > 1 ? 'a grouped convolution' : undefined;
    const reason = inputsHidden(product) ?? grouped ?? tooWide(product) ?? shared;
    const layer = product.node.describe();
    if (!reason) {
      await refitOne(
        { original, pruned, old, product: await computed(product), gone },
        observer,
        run,
      );
    }
    done.push({ layer, reason });
    progress?.();
  }
  return done;
}

/** With a weight that is there: others may have to be made of what they are derived from. */
async function computed(product: Product): Promise<Product> {
  const { data } = product;
  if (!data.isDerived) return product;
  return { ...product, data: Tensor.fromBytes(data.dtype, data.shape, await data.load()) };
}

const NONE = { skip: [], only: [] };

function keyOf({ node }: Product): string {
  return node.outputs[0]?.name ?? node.name;
}

function tooWide({ width }: Product): string | undefined {
  return width > MAX_WIDTH ? `it has ${width} inputs, more than ${MAX_WIDTH}` : undefined;
}

/** Positions that are gone on the channel axis of computed values, by name. */
function goneOf(choices: readonly Choice[]): Map<string, Set<number>> {
  const gone = new Map<string, Set<number>>();
  for (const { group, units } of choices) {
    for (const { value, axis, positions } of group.values) {
      const rank = value.shape?.length ?? 0;
      if (axis !== channelAxis(value, rank)) continue;
      const set = gone.get(value.name) ?? new Set<number>();
      for (const unit of units) for (const at of positions[unit] ?? []) set.add(at);
      gone.set(value.name, set);
    }
  }
  return gone;
}

function channelAxis({ producer }: Value, rank: number): number {
  return producer?.op === 'Conv' ? 1 : rank - 1;
}

interface Layer {
  readonly original: Model;
  readonly pruned: Model;
  readonly old: Product;
  readonly product: Product;
  readonly gone: ReadonlyMap<string, ReadonlySet<number>>;
}

async function refitOne(layer: Layer, observer: PairedObserver, run: Runner): Promise<void> {
  const { original, pruned, old, product, gone } = layer;
  const output = keyOf(old);
  const input = product.node.input(0)?.name ?? '';
  const lost = gone.get(output) ?? new Set<number>();
  const kept = Array.from({ length: old.rows }, (_, i) => i).filter((i) => !lost.has(i));
  if (kept.length !== product.rows) return;
  const { width, rows } = product;
  // Every second batch is held out to say how far the weights may move.
  const halves = [new Sums(width, rows), new Sums(width, rows)] as const;
  const model = sumModel(product, kept);
  let batch = 0;
  await observer.both(
    { model: original, names: [output] },
    { model: pruned, names: [input] },
    async (a, b) => {
      const [y, x] = [a.get(output), b.get(input)];
      if (!x || !y) return;
      const feeds = { x, y };
      halves[batch++ % 2]?.add(await run(model, new Map(Object.entries(feeds))));
    },
  );
  const bias = biasOf(product);
  const solution = solve(halves, rowsOf(product), bias !== undefined);
  if (!solution) return;
  const { w, levels } = solution;
  const { graph } = pruned;
  graph.setData(product.weight, Tensor.of('float32', product.data.shape, laidOut(product, w)));
  if (!bias || !levels) return;
  const values = bias.values.map((b, r) => (levels[r] as number) + (bias.isApart ? b : 0));
  graph.setData(bias.value, Tensor.of('float32', bias.shape, values));
}

interface Bias {
  readonly value: Value;
  readonly values: Float32Array;
  readonly shape: readonly number[];
  /** Added to the results by an Add. */
  readonly isApart: boolean;
}

/** A vector of this layer alone. */
function biasOf({ node, rows }: Product): Bias | undefined {
  const own = node.input(2);
  const [result] = node.outputs;
  const [use, ...others] = result?.uses ?? [];
  const isApart = !own && node.op === 'MatMul' && others.length === 0 && use?.node.op === 'Add';
  const value = isApart ? use?.node.inputs.find((input) => input !== result) : own;
  const data = value && constantData(value);
  if (!value?.data || data?.dtype !== 'float32' || value.uses.length !== 1) return undefined;
  const isVector = data.size === rows && (data.shape.at(-1) ?? 1) === rows;
  if (!isVector) return undefined;
  return { value, values: data.values() as Float32Array, shape: data.shape, isApart };
}

function sumModel(product: Product, kept: readonly number[]): Model {
  const graph = new Graph('sums');
  const g = new Builder(graph);
  const isConv = product.node.op === 'Conv';
  const rank = isConv ? product.data.shape.length : undefined;
  const shape = rank === undefined ? undefined : Array.from({ length: rank }, unknownDim);
  const x = patches(g, product, g.input('x', tensorType('float32', shape)));
  const whole = g.input('y', tensorType('float32', shape));
  const last = isConv
    ? g.op('Transpose', [whole], {
        perm: [0, ...Array.from({ length: (rank ?? 4) - 2 }, (_, i) => i + 2), 1],
      })
    : whole;
  const picked = g.op('Gather', [last, g.ints(kept)], { axis: -1 });
  const y = g.op('Reshape', [picked, g.ints([-1, kept.length])]);
  const axes = g.ints([0]);
  const made: Record<(typeof SUMS)[number], Value> = {
    xx: g.op('Gemm', [x, x], { transA: 1 }),
    xy: g.op('Gemm', [x, y], { transA: 1 }),
    x1: g.op('ReduceSum', [x, axes], { keepdims: 0 }),
    y1: g.op('ReduceSum', [y, axes], { keepdims: 0 }),
    n: g.op('Slice', [g.op('Shape', [x]), axes, g.ints([1])]),
  };
  for (const name of SUMS) {
    made[name].type = tensorType(name === 'n' ? 'int64' : 'float32', undefined);
    g.output(made[name], name);
  }
  return new Model(graph, new Map([['', 13]]), 8);
}
