// Are two models the same function? Both run on the same feeds; each output of the first is compared
// with its counterpart in the second.

import type { Batch } from '../data/dataset.ts';
import { nothingToCompare } from '../errors/verify.ts';
import type { Model, Value } from '../graph/index.ts';
import { isScores, largestPerRow } from '../metrics/top1.ts';
import { Comparer, type Comparison, type Tolerance } from '../tensor/compare.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { matchPorts, translateFeeds, type ValuePair } from './match-ports.ts';
import type { SessionOptions } from './options.ts';
import { canCross } from './protocol.ts';
import { loadModel } from './runner.ts';
import { openSession, type Session } from './session.ts';

export interface OutputResult {
  readonly name: string;
  /** Its name in the second model. */
  readonly counterpart: string;
  readonly comparison: Comparison;
  /** Of outputs [rows, classes]: the share of rows whose largest element is the same one. */
  readonly top1?: number | undefined;
}

export interface Verification {
  readonly equal: boolean;
  readonly outputs: readonly OutputResult[];
  /** Outputs of the first model that the second does not have. */
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly batches: number;
  readonly samples: number;
  /** Feeds that show a difference, or the first ones. */
  readonly example: Feeds | undefined;
}

export interface VerifyOptions {
  readonly tolerance: Tolerance;
  readonly session: SessionOptions;
  /** Called after each batch with the samples in it. */
  readonly onBatch?: (samples: number) => void;
}

export async function verifyModels(
  expected: Model,
  actual: Model,
  batches: AsyncIterable<Batch>,
  options: VerifyOptions,
): Promise<Verification> {
  const translate = translateFeeds(expected, actual);
  const ports = matchPorts(expected.graph.outputs, actual.graph.outputs);
  const pairs = ports.pairs.filter((pair) => pair.every((value) => isReadable(value)));
  if (pairs.length === 0) throw nothingToCompare(expected.path ?? 'A', actual.path ?? 'B');
  const outputs = pairs.map((pair) => new OutputComparer(pair, options.tolerance));
  const left = await open(expected, options.session);
  const right = await open(actual, options.session);
  const seen = { batches: 0, samples: 0 };
  let example: Feeds | undefined;
  let differs = false;
  try {
    for await (const { feeds, count } of batches) {
      const a = await left.run(
        feeds,
        pairs.map(([value]) => value.name),
      );
      const b = await right.run(
        translate(feeds),
        pairs.map(([, value]) => value.name),
      );
      for (const output of outputs) output.add(a, b);
      seen.batches += 1;
      seen.samples += count;
      options.onBatch?.(count);
      const differsNow = outputs.some((output) => !output.result().comparison.equal);
      if (!example || (differsNow && !differs)) example = feeds;
      differs ||= differsNow;
    }
  } finally {
    await left.dispose();
    await right.dispose();
  }
  const missing = ports.onlyExpected.map((value) => value.name);
  return {
    equal: !differs && missing.length === 0,
    outputs: outputs.map((output) => output.result()),
    missing,
    extra: ports.onlyActual.map((value) => value.name),
    ...seen,
    example,
  };
}

/** From its file where that will do, so that large weights are not copied through memory. */
async function open(
  model: Model,
  options: SessionOptions,
): Promise<Pick<Session, 'run' | 'dispose'>> {
  const { path } = model;
  const ports = [...model.graph.inputs.filter((value) => !value.data), ...model.graph.outputs];
  const crosses = ports.every((value) => value.type?.kind !== 'tensor' || canCross(value.dtype));
  if (path && path !== '-' && crosses) return openSession(path, options);
  return loadModel(model, options);
}

/** Sequences, maps and optionals cannot be fetched. */
function isReadable(value: Value): boolean {
  return value.type === undefined || value.type.kind === 'tensor';
}

/** Collects what one output shows over all batches. */
class OutputComparer {
  readonly #pair: ValuePair;
  readonly #comparer: Comparer;
  #rows = 0;
  #agreeing = 0;

  constructor(pair: ValuePair, tolerance: Tolerance) {
    this.#pair = pair;
    this.#comparer = new Comparer(tolerance);
  }

  add(expected: Feeds, actual: Feeds): void {
    const [left, right] = this.#pair;
    const a = expected.get(left.name);
    const b = actual.get(right.name);
    if (!a || !b) return;
    this.#comparer.add(a, b);
    if (!isScores(a) || a.shape.join() !== b.shape.join()) return;
    const [best, found] = [largestPerRow(a), largestPerRow(b)];
    this.#rows += best.length;
    this.#agreeing += best.filter((index, row) => index === found[row]).length;
  }

  result(): OutputResult {
    const [left, right] = this.#pair;
    const top1 = this.#rows > 0 ? this.#agreeing / this.#rows : undefined;
    const comparison = this.#comparer.result();
    return { name: left.name, counterpart: right.name, comparison, top1 };
  }
}
