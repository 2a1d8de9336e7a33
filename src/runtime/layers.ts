// Where two models part: values inside both are observed on the same feeds and compared in the order
// in which the first model computes them. Observed in portions, so that memory stays bounded.

import type { Model, Value } from '../graph/index.ts';
import { dependenciesOf, isStatic, topologicalOrder } from '../graph/index.ts';
import { inferTypes } from '../ops/index.ts';
import { type Comparison, compareTensors, type Tolerance } from '../tensor/compare.ts';
import { byteLengthOf, elementCount } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { translateFeeds } from './match-ports.ts';
import { type InnerPair, matchValues } from './match-values.ts';
import type { SessionOptions } from './options.ts';
import { loadModel } from './runner.ts';

export interface LayerResult {
  readonly name: string;
  readonly counterpart: string;
  readonly by: 'name' | 'position';
  /** The node of the first model that makes it, and its operator. */
  readonly node: string;
  readonly op: string;
  readonly comparison: Comparison;
  /**
   * Whether what comes of it reaches an output without passing a value that agrees. Where it does not,
   * the second model only uses the name for something else (a convolution with its scale folded in).
   */
  readonly matters: boolean;
}

export interface LayerReport {
  /** Values that the first model computes from its inputs. */
  readonly total: number;
  readonly byName: number;
  readonly byPosition: number;
  /** In the order of the first model. */
  readonly layers: readonly LayerResult[];
  /** The first that does not agree and matters. */
  readonly first: LayerResult | undefined;
}

export interface LayerOptions {
  readonly tolerance: Tolerance;
  readonly session: SessionOptions;
  /** Values of one portion, in bytes, per model. */
  readonly portionBytes?: number;
}

const PORTION_BYTES = 256 << 20;
/** For values whose size is not known beforehand. */
const ASSUMED_BYTES = 4 << 20;

/** Both models run as they are written, without any optimisation by the runtime. */
export async function compareLayers(
  expected: Model,
  actual: Model,
  feeds: Feeds,
  options: LayerOptions,
): Promise<LayerReport> {
  inferTypes(expected);
  inferTypes(actual);
  const { pairs, total } = matchValues(expected.graph, actual.graph);
  const session: SessionOptions = { ...options.session, optimization: 'disabled', exact: true };
  const theirs = translateFeeds(expected, actual)(feeds);
  const compared: Compared[] = [];
  for (const portion of portions(pairs, options.portionBytes ?? PORTION_BYTES)) {
    const left = await observe(expected, feeds, names(portion, 'expected'), session);
    const right = await observe(actual, theirs, names(portion, 'actual'), session);
    for (const pair of portion) {
      const a = left.get(pair.expected.name);
      const b = right.get(pair.actual.name);
      // Of one size only by what was known beforehand: no counterparts after all.
      if (!a || !b || a.shape.join() !== b.shape.join()) continue;
      compared.push({ pair, comparison: compareTensors(a, b, options.tolerance) });
    }
  }
  const mattering = reachingOutputs(expected, compared);
  const layers = compared.map(({ pair, comparison }) => ({
    ...describe(pair),
    comparison,
    matters: !comparison.equal && mattering.has(pair.expected),
  }));
  return {
    total,
    byName: layers.filter((layer) => layer.by === 'name').length,
    byPosition: layers.filter((layer) => layer.by === 'position').length,
    layers,
    first: layers.find((layer) => layer.matters),
  };
}

interface Compared {
  readonly pair: InnerPair;
  readonly comparison: Comparison;
}

/** Values from which some way to an output meets no value that agrees. */
function reachingOutputs({ graph }: Model, compared: readonly Compared[]): Set<Value> {
  const agreeing = new Set(compared.filter((c) => c.comparison.equal).map((c) => c.pair.expected));
  const reaching = new Set(graph.outputs.filter((value) => !agreeing.has(value)));
  for (const node of topologicalOrder(graph).reverse()) {
    if (!node.outputs.some((output) => reaching.has(output))) continue;
    for (const value of dependenciesOf(node)) if (!agreeing.has(value)) reaching.add(value);
  }
  return reaching;
}

async function observe(
  model: Model,
  feeds: Feeds,
  want: readonly string[],
  options: SessionOptions,
): Promise<Feeds> {
  const loaded = await loadModel(model, options, want);
  try {
    return await loaded.run(feeds, want);
  } finally {
    await loaded.dispose();
  }
}

/** Runs of pairs whose values together take about so many bytes. */
function* portions(pairs: readonly InnerPair[], limit: number): Generator<readonly InnerPair[]> {
  let portion: InnerPair[] = [];
  let bytes = 0;
  for (const pair of pairs) {
    const more = bytesOf(pair.expected);
    if (portion.length > 0 && bytes + more > limit) {
      yield portion;
      [portion, bytes] = [[], 0];
    }
    portion.push(pair);
    bytes += more;
  }
  if (portion.length > 0) yield portion;
}

function bytesOf({ shape, dtype }: Value): number {
  if (!shape || !dtype || !isStatic(shape)) return ASSUMED_BYTES;
  return byteLengthOf(dtype, elementCount(shape));
}

function names(portion: readonly InnerPair[], side: 'expected' | 'actual'): string[] {
  return portion.map((pair) => pair[side].name);
}

function describe({ expected, actual, by }: InnerPair) {
  const { producer } = expected;
  const node = producer?.describe() ?? '';
  return { name: expected.name, counterpart: actual.name, by, node, op: producer?.op ?? '' };
}
