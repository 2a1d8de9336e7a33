// Repair without training: a layer that lost inputs gets weights with which it comes closest, over data,
// to what it gave before (He et al. 2017). With X [R, width] the inputs that are left and Y [R, rows]
// the results of the original: min ‖X W - Y‖² + λ‖W - W₀‖², that is W = W₀ + (XᵀX + λI)⁻¹ (XᵀY - XᵀX W₀),
// on centred X and Y where the layer has a bias. Layers follow each other, each behind those before it.

import { Builder, Graph, Model, tensorType, unknownDim, type Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { factorInPlace } from '../../tensor/cholesky.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Runner } from '../pass.ts';
import type { Choice } from './cut.ts';
import { inputsHidden, patches } from './sparse/layer-inputs.ts';
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
/** λ as a share of the mean of the diagonal. */
const DAMPING = 0.01;

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
  const sums = new Sums(product);
  const model = sumModel(product, kept);
  await observer.both(
    { model: original, names: [output] },
    { model: pruned, names: [input] },
    async (a, b) => {
      const [y, x] = [a.get(output), b.get(input)];
      if (x && y)
        sums.add(
          await run(
            model,
            new Map([
              ['x', x],
              ['y', y],
            ]),
          ),
        );
    },
  );
  solve(pruned, product, sums);
}

const SUMS = ['xx', 'xy', 'x1', 'y1', 'n'] as const;

/** XᵀX, XᵀY, Σx, Σy and the number of rows. */
class Sums {
  readonly xx: Float64Array;
  readonly xy: Float64Array;
  readonly x1: Float64Array;
  readonly y1: Float64Array;
  readonly n = new Float64Array(1);

  constructor({ width, rows }: Product) {
    this.xx = new Float64Array(width * width);
    this.xy = new Float64Array(width * rows);
    this.x1 = new Float64Array(width);
    this.y1 = new Float64Array(rows);
  }

  add(found: ReadonlyMap<string, Tensor>): void {
    for (const name of SUMS) {
      const values = found.get(name)?.values() as ArrayLike<number | bigint>;
      const sum = this[name];
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + Number(values[i]);
    }
  }
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
  const int64 = (values: readonly number[]) => g.constant('ints', Tensor.int64(values));
  const picked = g.op('Gather', [last, int64(kept)], { axis: -1 });
  const y = g.op('Reshape', [picked, int64([-1, kept.length])]);
  const axes = int64([0]);
  const made: Record<(typeof SUMS)[number], Value> = {
    xx: g.op('Gemm', [x, x], { transA: 1 }),
    xy: g.op('Gemm', [x, y], { transA: 1 }),
    x1: g.op('ReduceSum', [x, axes], { keepdims: 0 }),
    y1: g.op('ReduceSum', [y, axes], { keepdims: 0 }),
    n: g.op('Slice', [g.op('Shape', [x]), axes, int64([1])]),
  };
  for (const name of SUMS) {
    made[name].type = tensorType(name === 'n' ? 'int64' : 'float32', undefined);
    g.output(made[name], name);
  }
  return new Model(graph, new Map([['', 13]]), 8);
}

/** Sets weight and bias of the layer to the solution; leaves them where there is none. */
function solve(model: Model, product: Product, { xx, xy, x1, y1, n }: Sums): void {
  const { width, rows } = product;
  const count = n[0] as number;
  if (count === 0) return;
  const bias = product.node.input(2);
  const terms = bias?.data && constantData(bias);
  const isCentred = terms?.dtype === 'float32' && terms.size === rows && bias?.uses.length === 1;
  if (isCentred) centre(xx, xy, x1, y1, count, width, rows);
  const w = rowsOf(product);
  let mean = 0;
  for (let k = 0; k < width; k++) mean += (xx[k * width + k] as number) / width;
  const right = residual(xx, xy, w, width, rows);
  for (let k = 0; k < width; k++) {
    xx[k * width + k] = (xx[k * width + k] as number) + DAMPING * mean + 1e-12;
  }
  if (!factorInPlace(xx, width)) return;
  for (let r = 0; r < rows; r++) {
    const change = backSolve(xx, right, r, width, rows);
    for (let k = 0; k < width; k++)
      w[r * width + k] = (w[r * width + k] as number) + (change[k] as number);
  }
  model.graph.setData(
    product.weight,
    Tensor.of('float32', product.data.shape, laidOut(product, w)),
  );
  if (!isCentred || !bias || !terms) return;
  const values = Float32Array.from({ length: rows }, (_, r) => {
    let level = (y1[r] as number) / count;
    for (let k = 0; k < width; k++)
      level -= ((x1[k] as number) / count) * (w[r * width + k] as number);
    return level;
  });
  model.graph.setData(bias, Tensor.of('float32', terms.shape, values));
}

function centre(
  xx: Float64Array,
  xy: Float64Array,
  x1: Float64Array,
  y1: Float64Array,
  count: number,
  width: number,
  rows: number,
): void {
  for (let k = 0; k < width; k++) {
    const mean = (x1[k] as number) / count;
    for (let j = 0; j < width; j++) {
      xx[k * width + j] = (xx[k * width + j] as number) - mean * (x1[j] as number);
    }
    for (let r = 0; r < rows; r++) {
      xy[k * rows + r] = (xy[k * rows + r] as number) - mean * (y1[r] as number);
    }
  }
}

/** XᵀY - XᵀX W₀, [width, rows]. */
function residual(
  xx: Float64Array,
  xy: Float64Array,
  w: Float32Array,
  width: number,
  rows: number,
): Float64Array {
  const right = xy.slice();
  for (let k = 0; k < width; k++) {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let j = 0; j < width; j++) {
        sum += (xx[k * width + j] as number) * (w[r * width + j] as number);
      }
      right[k * rows + r] = (right[k * rows + r] as number) - sum;
    }
  }
  return right;
}

/** Solves L Lᵀ z = column r. */
function backSolve(
  lower: Float64Array,
  right: Float64Array,
  r: number,
  width: number,
  rows: number,
): Float64Array {
  const z = new Float64Array(width);
  for (let k = 0; k < width; k++) {
    let value = right[k * rows + r] as number;
    for (let j = 0; j < k; j++) value -= (lower[k * width + j] as number) * (z[j] as number);
    z[k] = value / (lower[k * width + k] as number);
  }
  for (let k = width - 1; k >= 0; k--) {
    let value = z[k] as number;
    for (let j = k + 1; j < width; j++)
      value -= (lower[j * width + k] as number) * (z[j] as number);
    z[k] = value / (lower[k * width + k] as number);
  }
  return z;
}
