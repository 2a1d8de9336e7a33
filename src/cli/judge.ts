// How good a changed model is beside the original: accuracy where the data has labels and the model
// scores classes, else agreement with the original. Always also how similar the outputs are.

import { Flags } from '@oclif/core';
import type { Batch, Dataset } from '../data/dataset.ts';
import type { Model } from '../graph/index.ts';
import { Agreement } from '../metrics/agreement.ts';
import { isScores, largestPerRow } from '../metrics/top1.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { loadModel } from '../runtime/runner.ts';
import { Comparer } from '../tensor/compare.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface Quality {
  /** Accuracy, or agreement: from 0 to 1. */
  readonly score: number;
  readonly agreement: number;
  /** As agreement, without jumps: tells small changes apart. */
  readonly fidelity: number;
  /** Of the output with the lowest one. */
  readonly cosine: number;
  readonly maxAbsError: number;
  readonly samples: number;
}

export interface Judge {
  readonly metric: 'accuracy' | 'agreement';
  /** Score of the original. */
  readonly reference: number;
  readonly samples: number;
  judge(model: Model): Promise<Quality>;
}

/** Its figures in the report. */
export function qualityMetrics(judge: Judge, quality: Quality): object {
  return {
    [judge.metric]: quality.score,
    ...(judge.metric === 'accuracy' ? { accuracy_before: judge.reference } : {}),
    agreement: quality.agreement,
    fidelity: quality.fidelity,
    cosine: quality.cosine,
    max_abs_error: quality.maxAbsError,
    drop: judge.reference - quality.score,
    samples: quality.samples,
  };
}

export const judgeFlags = {
  check: Flags.boolean({
    summary: 'run the original and the result, and compare them',
    allowNo: true,
    default: true,
    helpGroup: 'LIMITS',
  }),
  bench: Flags.boolean({
    summary: 'time the result beside the original',
    allowNo: true,
    default: true,
    helpGroup: 'LIMITS',
  }),
};

interface Seen {
  readonly batch: Batch;
  readonly outputs: Feeds;
}

/** Inputs and outputs that are kept in memory for the comparisons. */
const BUDGET_BYTES = 512e6;

/** Runs the original once; its outputs are what others are held against. */
export async function makeJudge(
  original: Model,
  dataset: Dataset,
  batchSize: number,
  limit: number,
  session: SessionOptions,
): Promise<Judge> {
  const seen = await runOriginal(original, dataset, batchSize, limit, session);
  const samples = seen.reduce((sum, { batch }) => sum + batch.count, 0);
  const labelled = seen.every((one) => labelledScores(one) !== undefined) && seen.length > 0;
  const reference = labelled ? accuracyOf(seen, (one) => one.outputs) : 1;
  const known = new WeakMap<Model, Quality>();
  const judge = async (model: Model): Promise<Quality> => {
    const before = known.get(model);
    if (before) return before;
    const loaded = await loadModel(model, session);
    try {
      const results = new Map<Seen, Feeds>();
      const comparison = new Comparison();
      for (const one of seen) {
        const outputs = await loaded.run(one.batch.feeds);
        comparison.add(one.outputs, outputs);
        if (labelled) results.set(one, outputs);
      }
      const quality = comparison.result();
      const score = labelled
        ? accuracyOf(seen, (one) => results.get(one) ?? new Map())
        : quality.agreement;
      const found = { score, ...quality, samples };
      known.set(model, found);
      return found;
    } finally {
      await loaded.dispose();
    }
  };
  return { metric: labelled ? 'accuracy' : 'agreement', reference, samples, judge };
}

async function runOriginal(
  original: Model,
  dataset: Dataset,
  batchSize: number,
  limit: number,
  session: SessionOptions,
): Promise<Seen[]> {
  const loaded = await loadModel(original, session);
  const seen: Seen[] = [];
  let bytes = 0;
  let samples = 0;
  try {
    for await (const batch of dataset.batches(batchSize)) {
      const outputs = await loaded.run(batch.feeds);
      seen.push({ batch, outputs });
      samples += batch.count;
      for (const tensor of [...batch.feeds.values(), ...outputs.values()])
        bytes += tensor.byteLength;
      if (samples >= limit || bytes > BUDGET_BYTES) break;
    }
  } finally {
    await loaded.dispose();
  }
  return seen;
}

/** Scores and labels of a batch: one output [rows, classes], and one whole number for each row. */
function labelledScores({ batch, outputs }: Seen): { name: string; labels: number[] } | undefined {
  const scores = [...outputs].filter(([, tensor]) => isScores(tensor));
  const [only] = scores;
  if (scores.length !== 1 || !only) return undefined;
  const [name, { shape }] = only;
  const [rows = 0, classes = 0] = shape;
  for (const target of batch.targets.values()) {
    const labels = wholeNumbers(target, rows, classes);
    if (labels) return { name, labels: labels.slice(0, batch.count) };
  }
  return undefined;
}

function wholeNumbers(target: Tensor, rows: number, classes: number): number[] | undefined {
  if (target.size !== rows || target.dtype === 'string' || target.dtype === 'float16')
    return undefined;
  const labels = target.numbers();
  return labels.every((label) => Number.isInteger(label) && label >= 0 && label < classes)
    ? labels
    : undefined;
}

function accuracyOf(seen: readonly Seen[], outputsOf: (one: Seen) => Feeds): number {
  let right = 0;
  let total = 0;
  for (const one of seen) {
    const truth = labelledScores(one);
    const scores = truth && outputsOf(one).get(truth.name);
    if (!truth || !scores) continue;
    const found = largestPerRow(scores);
    total += truth.labels.length;
    right += truth.labels.filter((label, row) => found[row] === label).length;
  }
  return total > 0 ? right / total : 0;
}

/** All outputs over all batches. */
class Comparison {
  readonly #agreements = new Map<string, Agreement>();
  readonly #comparers = new Map<string, Comparer>();

  add(expected: Feeds, actual: Feeds): void {
    for (const [name, tensor] of expected) {
      const other = actual.get(name);
      if (!other || tensor.dtype === 'string') continue;
      const agreement = this.#agreements.get(name) ?? new Agreement();
      const comparer = this.#comparers.get(name) ?? new Comparer({ rtol: 0, atol: 0 });
      this.#agreements.set(name, agreement);
      this.#comparers.set(name, comparer);
      agreement.add(tensor, other);
      comparer.add(tensor, other);
    }
  }

  result(): Omit<Quality, 'score' | 'samples'> {
    const found = [...this.#comparers.values()].map((comparer) => comparer.result());
    const agreements = [...this.#agreements.values()];
    const scores = agreements.flatMap((one) => one.score() ?? []);
    const fidelities = agreements.flatMap((one) => one.fidelity() ?? []);
    const broken = found.some(({ nonFinite }) => nonFinite > 0);
    return {
      agreement: Math.min(1, ...scores),
      fidelity: Math.min(1, ...fidelities),
      cosine: broken ? 0 : Math.min(1, ...found.map(({ cosine }) => cosine)),
      maxAbsError: Math.max(0, ...found.map(({ maxAbs }) => maxAbs)),
    };
  }
}
