// How much of a model structured pruning reaches: the share of weight elements in layers of which at
// least one axis can be cut, and what stopped it at the others.

import { graphsOf, type Model, type Value } from '../../graph/index.ts';
import { type Frozen, findGroups, type Groups } from './group.ts';
import { readersOf } from './readers.ts';

export interface Coverage {
  /** Elements of the weights of convolutions, matrix products, recurrent layers and attention. */
  readonly elements: number;
  /** Those that can be removed by cutting an axis of their weight. */
  readonly covered: number;
  /** The same without groups whose cut changes results a little (through LayerNormalization …). */
  readonly exact: number;
  /** Elements by what stopped it, most first. */
  readonly reasons: readonly { readonly reason: string; readonly elements: number }[];
}

const LAYERS =
  /^(Conv|ConvTranspose|FusedConv|NhwcConv|NhwcFusedConv|ConvInteger|QLinearConv|DeformConv|Gemm|FusedGemm|QGemm|MatMul|FusedMatMul|MatMulInteger|QLinearMatMul|DynamicQuantizeMatMul|MatMulIntegerToFloat|MatMulNBits|Einsum|LSTM|GRU|RNN|Attention|QAttention)$/;

/** Fewer elements are biases, scales and the like. */
const MIN_RANK = 2;

export function coverageOf(model: Model, found: Groups = findGroups(model)): Coverage {
  const weights = layerWeights(model);
  const all = reachOf(found, () => true);
  const exact = reachOf(found, (isExact) => isExact);
  const reasons = new Map<string, number>();
  const sum = { elements: 0, covered: 0, exact: 0 };
  for (const value of weights) {
    const shape = value.shape as readonly number[];
    const size = shape.reduce((a, b) => a * b, 1);
    const reached = size * shareOf(all.get(value), shape);
    sum.elements += size;
    sum.covered += reached;
    sum.exact += size * shareOf(exact.get(value), shape);
    if (reached > size / 2) continue;
    const reason = reasonOf(found.frozen, value);
    reasons.set(reason, (reasons.get(reason) ?? 0) + size - reached);
  }
  const sorted = [...reasons].sort(([, a], [, b]) => b - a);
  return { ...sum, reasons: sorted.map(([reason, elements]) => ({ reason, elements })) };
}

function layerWeights(model: Model): Value[] {
  const seen = new Set<Value>();
  for (const graph of graphsOf(model.graph)) {
    for (const value of graph.initializers) seen.add(value);
    for (const node of graph.nodes) if (node.op === 'Constant') seen.add(node.output);
  }
  return [...seen].filter(
    (value) =>
      (value.shape?.length ?? 0) >= MIN_RANK &&
      value.shape?.every((dim) => typeof dim === 'number') &&
      readersOf(value).some(({ op }) => LAYERS.test(op)),
  );
}

type Reach = Map<Value, Map<number, number>>;

/** Positions that units take, by weight and axis. */
function reachOf({ groups }: Groups, isCounted: (exact: boolean) => boolean): Reach {
  const reach: Reach = new Map();
  for (const { weights, exact } of groups) {
    if (!isCounted(exact)) continue;
    for (const { value, axis, positions } of weights) {
      const axes = reach.get(value) ?? new Map<number, number>();
      reach.set(value, axes);
      const count = positions.reduce((total, unit) => total + unit.length, 0);
      axes.set(axis, (axes.get(axis) ?? 0) + count);
    }
  }
  return reach;
}

/** Elements with a removable position on at least one axis. */
function shareOf(axes: ReadonlyMap<number, number> | undefined, shape: readonly number[]): number {
  let left = 1;
  for (const [axis, count] of axes ?? []) left *= 1 - count / (shape[axis] as number);
  return 1 - left;
}

function reasonOf(frozen: readonly Frozen[], value: Value): string {
  const own = frozen.filter(({ weight }) => weight === value);
  const texts = own.map(({ reason, node }) => (node ? `${node.op}: ${reason}` : reason));
  return [...new Set(texts)].join('; ') || 'not tied to anything';
}
