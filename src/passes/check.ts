// Whether a rewritten model is still the same function: outputs on the same inputs, within the error
// of reordered arithmetic in the type that computes.

import {
  allGraphs,
  dependenciesOf,
  type Model,
  type Node,
  topologicalOrder,
  type Value,
} from '../graph/index.ts';
import { type Comparison, compareTensors, type Tolerance } from '../tensor/compare.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Runner } from './pass.ts';
import { isRandom } from './pure.ts';

export interface Check {
  /** What is wrong with a model; undefined when it computes what the original does. */
  compare(model: Model): Promise<string | undefined>;
  /** Time that a comparison takes, about. */
  readonly ms: number;
  /** Outputs that depend on random numbers without a seed: nothing can be said about them. */
  readonly random: readonly string[];
}

const FLOAT32: Tolerance = { rtol: 1e-3, atol: 1e-5 };
/** 10 bits of mantissa, and sums in another order. */
const HALF: Tolerance = { rtol: 2e-2, atol: 1e-2 };
/** Share of the length of an output that rounding another way may cost, one level here and there. */
const QUANTIZED_ERROR = 0.02;

/** Longer than this, one sample has to do: the model is run after every pass. */
const PATIENCE_MS = 500;

interface Sample {
  readonly feeds: Feeds;
  readonly expected: Feeds;
}

/**
 * Runs the original on each set of inputs; sets that it does not take are left out. Throws what the
 * runner throws where it takes none.
 */
export async function makeCheck(
  original: Model,
  run: Runner,
  feeds: readonly Feeds[],
  tolerance?: Tolerance,
): Promise<Check> {
  const samples: Sample[] = [];
  const started = performance.now();
  let refusal: unknown;
  for (const one of feeds) {
    try {
      samples.push({ feeds: one, expected: await run(original, one) });
    } catch (error) {
      refusal ??= error;
    }
    if (samples.length > 0 && performance.now() - started > PATIENCE_MS) break;
  }
  if (samples.length === 0 && refusal) throw refusal;
  const ms = performance.now() - started;
  const random = randomOutputs(original);
  const judge = new Judge(original, tolerance, new Set(random));
  return {
    ms,
    random,
    async compare(model) {
      for (const sample of samples) {
        const problem = await judge.difference(model, run, sample);
        if (problem) return problem;
      }
      return undefined;
    },
  };
}

class Judge {
  readonly #tolerance: Tolerance;
  readonly #isQuantized: boolean;
  readonly #random: ReadonlySet<string>;

  constructor(original: Model, tolerance: Tolerance | undefined, random: ReadonlySet<string>) {
    this.#random = random;
    this.#tolerance = tolerance ?? (computesInHalf(original) ? HALF : FLOAT32);
    this.#isQuantized = hasNode(original, isQuantizing);
  }

  async difference(model: Model, run: Runner, sample: Sample): Promise<string | undefined> {
    let actual: Feeds;
    try {
      actual = await run(model, sample.feeds);
    } catch (error) {
      return `it does not run any more: ${error instanceof Error ? error.message : String(error)}`;
    }
    for (const [name, tensor] of sample.expected) {
      if (this.#random.has(name)) continue;
      const other = actual.get(name);
      if (!other) return `output "${name}" is missing`;
      const found = compareTensors(tensor, other, this.#tolerance);
      if (this.#agrees(found)) continue;
      const { mismatched, elements, maxAbs } = found;
      const error = `differs in ${mismatched} of ${elements} elements, by up to ${maxAbs.toPrecision(3)}`;
      return `output "${name}" ${found.problem ? `has ${found.problem}` : error}`;
    }
    return undefined;
  }

  #agrees(found: Comparison): boolean {
    if (found.equal) return true;
    if (!this.#isQuantized || found.problem !== undefined || found.nonFinite > 0) return false;
    return found.relNorm <= QUANTIZED_ERROR;
  }
}

/** onnxruntime draws from the position of a node: rewriting anything before it draws anew. */
function randomOutputs(model: Model): string[] {
  const random = new Set<Value>();
  for (const node of topologicalOrder(model.graph)) {
    const draws = isRandom(model, node) && !node.attrs.has('seed');
    if (!draws && ![...dependenciesOf(node)].some((value) => random.has(value))) continue;
    for (const output of node.outputs) random.add(output);
  }
  return model.graph.outputs.filter((value) => random.has(value)).map((value) => value.name);
}

function hasNode(model: Model, test: (node: Node) => boolean): boolean {
  for (const graph of allGraphs(model)) for (const node of graph.nodes) if (test(node)) return true;
  return false;
}

function isQuantizing({ op }: Node): boolean {
  return /^(Dynamic)?Quantize|^QLinear|Integer$|^DynamicQuant|^QAttention|^QGemm/.test(op);
}

/** Half precision anywhere inside decides how exact a model can be. */
function computesInHalf(model: Model): boolean {
  const isHalf = (dtype: DType | undefined) => dtype === 'float16' || dtype === 'bfloat16';
  for (const graph of allGraphs(model)) {
    const values = [...graph.initializers, ...graph.inputs, ...graph.outputs];
    if (values.some((value) => isHalf(value.dtype))) return true;
  }
  return hasNode(model, (node) => node.op === 'Cast' && isHalf(dtypeOf(node.int('to', 0))));
}
