// AWQ (Lin et al. 2023): inputs that are large on average get weights that are larger by s_k, and so
// rounded more finely, and are divided by s_k themselves: s_k = mean |x_k|^alpha, alpha from a grid by
// the error of the output, |X (W - W') |^2 = sum of d^T (X^T X) d over the errors d of its columns.
// The division disappears into the normalisation before the layers, or is a Mul.

import { Builder, type Model, type Node, type Value } from '../../graph/index.ts';
import { constantData, inferNode } from '../../ops/index.ts';
import { rowsOf } from '../../tensor/block-task.ts';
import { type BlockScheme, roundRows } from '../../tensor/blocks.ts';
import { floatsOf, floatTensor } from '../../tensor/scale.ts';
import { constant, isOutput } from '../match.ts';
import type { Calibration, QuantizeContext } from './context.ts';
import { type Gram, inGroups, type Observed, observeGrams } from './gram.ts';
import type { Choice } from './weights-plan.ts';
import type { Matrix } from './weights-store.ts';

type Share = readonly Choice[];

/** Layers that read the same value: it can be divided but once. */
interface Readers {
  readonly observed: Observed;
  readonly shares: Share[];
}

const ALPHAS = Array.from({ length: 20 }, (_, i) => i / 20);
/** Columns of each weight on which an alpha is judged. */
const SAMPLED = 64;

/** What the weights of a share are to be multiplied with, input by input; edits what feeds them. */
export async function scaleByActivation(
  model: Model,
  shares: readonly Share[],
  calibration: Calibration,
  context: QuantizeContext,
): Promise<Map<Share, Float64Array>> {
  const found = new Map<Share, Float64Array>();
  for (const group of inGroups(readersOf(shares), ({ observed }) => [observed])) {
    const observed = group.map((readers) => readers.observed);
    const grams = await observeGrams(model, observed, calibration, context);
    for (const readers of group) {
      const gram = grams.get(readers.observed.value);
      const factors = gram && (await bestFactors(readers.shares, gram));
      if (!factors) continue;
      divide(model, readers, factors);
      for (const share of readers.shares) found.set(share, factors);
    }
  }
  return found;
}

/** By the value that is read; a weight with several inputs cannot be scaled for one of them. */
function readersOf(shares: readonly Share[]): Readers[] {
  const byValue = new Map<Value, Readers>();
  for (const share of shares) {
    const values = new Set(share.map(({ weighted }) => weighted.node.input(0)));
    const [value] = values;
    const { node, matrix } = (share[0] as Choice).weighted;
    if (values.size !== 1 || !value) continue;
    const known = byValue.get(value) ?? {
      observed: { value, node, width: matrix.width },
      shares: [],
    };
    known.shares.push(share);
    byValue.set(value, known);
  }
  return [...byValue.values()];
}

/** The factors with the least error over all of the weights; undefined where none are better. */
async function bestFactors(
  shares: readonly Share[],
  gram: Gram,
): Promise<Float64Array | undefined> {
  const samples: { readonly values: Float32Array; readonly scheme: BlockScheme }[] = [];
  for (const share of shares) {
    const { weighted, scheme } = share[0] as Choice;
    samples.push({ values: await sampleRows(weighted.matrix), scheme });
  }
  let best: { readonly error: number; readonly factors: Float64Array | undefined } | undefined;
  for (const alpha of ALPHAS) {
    const factors = factorsFor(gram, alpha);
    let error = 0;
    for (const { values, scheme } of samples) error += outputError(values, scheme, gram, factors);
    if (!best || error < best.error) best = { error, factors: alpha === 0 ? undefined : factors };
  }
  return best?.factors;
}

/** mean |x|^alpha, around 1. */
function factorsFor({ magnitude, rows }: Gram, alpha: number): Float64Array {
  const powers = magnitude.map((sum) => Math.max((sum / Math.max(1, rows)) ** alpha, 1e-4));
  let [min, max] = [Number.POSITIVE_INFINITY, 0];
  for (const power of powers) [min, max] = [Math.min(min, power), Math.max(max, power)];
  const middle = Math.sqrt(min * max);
  return powers.map((power) => Math.fround(power / middle));
}

async function sampleRows(matrix: Matrix): Promise<Float32Array> {
  const { data, rows, width, isTransposed } = matrix;
  const all = rowsOf({ bytes: await data.load(), dtype: data.dtype, rows, width, isTransposed });
  const count = Math.min(rows, SAMPLED);
  const values = new Float32Array(count * width);
  for (let i = 0; i < count; i++) {
    const row = Math.floor((i * rows) / count);
    values.set(all.subarray(row * width, (row + 1) * width), i * width);
  }
  return values;
}

/** What rounding the scaled weights adds to the squared output. */
function outputError(
  values: Float32Array,
  scheme: BlockScheme,
  { width, matrix }: Gram,
  factors: Float64Array,
): number {
  const rows = values.length / width;
  const scaled = values.map((w, i) => w * (factors[i % width] as number));
  const rounded = roundRows(scaled, rows, width, scheme);
  if ('notFinite' in rounded) return Number.NaN;
  const { blocks, codes, scales, zeroPoints } = rounded;
  const errors = new Float64Array(width);
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      const b = row * blocks + Math.floor(k / scheme.block);
      const code = codes[row * blocks * scheme.block + k] as number;
      const restored = (code - (zeroPoints[b] as number)) * (scales[b] as number);
      errors[k] = (values[row * width + k] as number) - restored / (factors[k] as number);
    }
    sum += quadraticForm(errors, matrix);
  }
  return sum;
}

/** d^T G d */
function quadraticForm(d: Float64Array, matrix: Float32Array): number {
  let sum = 0;
  for (let i = 0, at = 0; i < d.length; i++, at += d.length) {
    let [even, odd] = [0, 0];
    // Twice the half below the diagonal.
    for (let j = 0; j + 1 < i; j += 2) {
      even += (matrix[at + j] as number) * (d[j] as number);
      odd += (matrix[at + j + 1] as number) * (d[j + 1] as number);
    }
    if (i % 2 === 1) even += (matrix[at + i - 1] as number) * (d[i - 1] as number);
    sum += (d[i] as number) * (2 * (even + odd) + (matrix[at + i] as number) * (d[i] as number));
  }
  return sum;
}

/** Divides what the layers read. */
function divide(model: Model, { observed, shares }: Readers, factors: Float64Array): void {
  const { value } = observed;
  const readers = shares.flatMap((share) => share.map(({ weighted }) => weighted.node));
  const isTheirs =
    !isOutput(value) &&
    value.uses.every(({ node, index }) => index === 0 && readers.includes(node));
  const inverse = factors.map((factor) => 1 / factor);
  if (isTheirs && value.producer && absorb(model, value.producer, inverse)) return;
  const first = [...model.graph.nodes].find((node) => readers.includes(node));
  if (!first || !value.dtype) return;
  const g = new Builder(model.graph, first, (made) => inferNode(model, made));
  const scale = g.constant('awq_scale', floatTensor(value.dtype, [inverse.length], inverse));
  const divided = g.op('Mul', [value, scale]);
  for (const node of readers) node.setInput(0, divided);
}

/** Scale, and shift where there is one, of operators whose result can be scaled by them. */
const VECTORS: Readonly<Record<string, readonly number[]>> = {
  ':LayerNormalization': [1, 2],
  ':RMSNormalization': [1],
  ':SimplifiedLayerNormalization': [1],
  'com.microsoft:SkipLayerNormalization': [2, 3],
  'com.microsoft:SkipSimplifiedLayerNormalization': [2],
};

/** Multiplies the result of a normalisation by its vectors; false, and no change, where that fails. */
function absorb(model: Model, node: Node, inverse: Float64Array): boolean {
  const vectors = VECTORS[`${node.domain}:${node.op}`] ?? multipliers(node);
  if (node.graph !== model.graph || !vectors) return false;
  // A bias of SkipLayerNormalization would come after the shift.
  const present = vectors.filter((index) => node.input(index));
  const fits = present.every((index) => {
    const data = constant(node.input(index));
    return data?.shape.length === 1 && data.size === inverse.length;
  });
  if (!fits || present.length === 0) return false;
  for (const index of present) {
    const old = node.input(index) as Value;
    const data = constantData(old) as NonNullable<ReturnType<typeof constantData>>;
    const scaled = floatsOf(data).map((x, k) => x * (inverse[k] as number));
    const tensor = floatTensor(data.dtype, data.shape, scaled);
    const isOwn = old.uses.length === 1 && model.graph.initializers.has(old);
    if (isOwn) model.graph.setData(old, tensor);
    else node.setInput(index, model.graph.addInitializer(old.name, tensor));
  }
  return true;
}

/** A Mul by a vector, as RMS normalisation is written out. */
function multipliers(node: Node): readonly number[] | undefined {
  if (node.domain !== '' || node.op !== 'Mul') return undefined;
  return constant(node.input(1)) ? [1] : constant(node.input(0)) ? [0] : undefined;
}
