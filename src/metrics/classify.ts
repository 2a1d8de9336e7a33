// Metrics of classification, from scores [N, C] and labels. Definitions are scikit-learn's; a class
// without samples counts as scikit-learn's zero_division=0 has it. Calibration error: Guo et al. 2017.

import { chosen, defined, type Evaluation, type Metrics } from './evaluation.ts';

const BINS = 15;

export interface ClassifyOptions {
  readonly classes: number;
  /** Of the metric `topK`, beside the first. */
  readonly topK: number;
}

/** Collects scores; keeps per sample the class found, the rank of the right one and probabilities. */
export class ClassifyScores {
  readonly #options: ClassifyOptions;
  readonly #labels: number[] = [];
  readonly #found: number[] = [];
  /** Classes with a higher score than the right one. */
  readonly #ranks: number[] = [];
  readonly #probabilities: Float32Array[] = [];

  constructor(options: ClassifyOptions) {
    this.#options = options;
  }

  /** Scores [labels.length, classes]: logits, or probabilities that sum to 1. */
  add(scores: ArrayLike<number>, labels: ArrayLike<number>): void {
    const { classes } = this.#options;
    for (let i = 0; i < labels.length; i++) {
      const row = Float64Array.from({ length: classes }, (_, c) => Number(scores[i * classes + c]));
      const label = labels[i] as number;
      const own = row[label] as number;
      let best = 0;
      let rank = 0;
      for (let c = 0; c < classes; c++) {
        if ((row[c] as number) > (row[best] as number)) best = c;
        // Of equal scores the first class wins, as argmax and a stable sort have it.
        if ((row[c] as number) > own || (row[c] === own && c < label)) rank += 1;
      }
      this.#labels.push(label);
      this.#found.push(best);
      this.#ranks.push(rank);
      this.#probabilities.push(Float32Array.from(asProbabilities(row)));
    }
  }

  finish(): Evaluation {
    const { classes, topK } = this.#options;
    const [labels, found, ranks] = [this.#labels, this.#found, this.#ranks];
    const probabilities = this.#probabilities;
    const count = labels.length;
    const sorted = rankings(probabilities, classes);
    const compute = (given?: ArrayLike<number>): Metrics => {
      const samples = chosen(given, count);
      const confusion = confusionOf(samples, labels, found, classes);
      let [top, loss] = [0, 0];
      for (let i = 0; i < samples.length; i++) {
        const sample = samples[i] as number;
        if ((ranks[sample] as number) < topK) top += 1;
        const p = probabilities[sample]?.[labels[sample] as number] ?? 0;
        loss -= Math.log(Math.max(p, 1e-12));
      }
      return defined({
        ...averages(confusion),
        ...(classes > topK ? { [`top${topK}`]: top / samples.length } : {}),
        auroc: auroc(samples, labels, sorted, classes),
        loss: loss / samples.length,
        calibration_error: calibrationError(samples, labels, found, probabilities),
      });
    };
    return {
      count,
      compute,
      hits: () => Uint8Array.from(labels, (label, i) => (label === found[i] ? 1 : 0)),
      details: () => {
        const confusion = confusionOf(chosen(undefined, count), labels, found, classes);
        return { per_class: perClass(confusion), confusion };
      },
    };
  }
}

/** Softmax of logits; probabilities stay. One score stands for the second of two classes. */
function asProbabilities(row: Float64Array): Float64Array {
  const sum = row.reduce((a, b) => a + b, 0);
  if (row.every((value) => value >= 0 && value <= 1) && Math.abs(sum - 1) < 1e-3) return row;
  const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = row.map((value) => Math.exp(value - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}

/** Rows are labels, columns what was found. */
function confusionOf(
  samples: ArrayLike<number>,
  labels: readonly number[],
  found: readonly number[],
  classes: number,
): number[][] {
  const table = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < samples.length; i++) {
    const row = table[labels[samples[i] as number] as number] as number[];
    const column = found[samples[i] as number] as number;
    row[column] = (row[column] as number) + 1;
  }
  return table;
}

interface ClassMetrics {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly support: number;
}

function perClass(confusion: readonly number[][]): ClassMetrics[] {
  const columns = new Array<number>(confusion.length).fill(0);
  for (const row of confusion) {
    row.forEach((value, c) => {
      columns[c] = (columns[c] as number) + value;
    });
  }
  return confusion.map((row, c) => {
    const hits = row[c] as number;
    const support = row.reduce((a, b) => a + b, 0);
    const given = columns[c] as number;
    const share = (of: number) => (of > 0 ? hits / of : 0);
    const f1 = support + given > 0 ? (2 * hits) / (support + given) : 0;
    return { precision: share(given), recall: share(support), f1, support };
  });
}

/** Micro averages of one label per sample all equal the accuracy. */
function averages(confusion: readonly number[][]): Metrics {
  const found = perClass(confusion);
  const total = found.reduce((sum, { support }) => sum + support, 0);
  const hits = confusion.reduce((sum, row, c) => sum + (row[c] as number), 0);
  // Classes that occur neither as label nor as result are left out, as scikit-learn does.
  const present = found.filter(
    ({ support }, c) => support > 0 || confusion.some((row) => (row[c] as number) > 0),
  );
  const macro = (key: 'precision' | 'recall' | 'f1') =>
    present.reduce((sum, one) => sum + one[key], 0) / present.length;
  const weighted = (key: 'precision' | 'recall' | 'f1') =>
    present.reduce((sum, one) => sum + one[key] * one.support, 0) / total;
  return {
    accuracy: hits / total,
    precision_macro: macro('precision'),
    recall_macro: macro('recall'),
    f1_macro: macro('f1'),
    precision_weighted: weighted('precision'),
    recall_weighted: weighted('recall'),
    f1_weighted: weighted('f1'),
    f1_micro: hits / total,
  };
}

/** Per class, samples from the lowest probability to the highest. */
function rankings(probabilities: readonly Float32Array[], classes: number): Ranking[] {
  const considered = classes === 2 ? [1] : Array.from({ length: classes }, (_, c) => c);
  return considered.map((c) => {
    const values = probabilities.map((row) => row[c] as number);
    const order = Int32Array.from(values.keys()).sort(
      (a, b) => (values[a] as number) - (values[b] as number),
    );
    return { c, values, order };
  });
}

interface Ranking {
  readonly c: number;
  readonly values: readonly number[];
  readonly order: Int32Array;
}

/** Above this the curve of each class for each resample would take minutes. */
const AUROC_CLASSES = 128;

/** One class against the rest, the mean over classes; ties count half (Mann and Whitney). */
function auroc(
  samples: ArrayLike<number>,
  labels: readonly number[],
  sorted: readonly Ranking[],
  classes: number,
): number | undefined {
  if (classes > AUROC_CLASSES || classes < 2) return undefined;
  const times = new Float64Array(labels.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i] as number;
    times[sample] = (times[sample] as number) + 1;
  }
  const areas = sorted.map(({ c, values, order }) => area(c, values, order, labels, times));
  // Without a positive or a negative sample of a class its curve is not defined.
  if (areas.some((value) => value === undefined)) return undefined;
  return (areas as number[]).reduce((a, b) => a + b, 0) / areas.length;
}

function area(
  c: number,
  values: readonly number[],
  order: Int32Array,
  labels: readonly number[],
  times: Float64Array,
): number | undefined {
  let [positives, negatives, sum] = [0, 0, 0];
  for (let at = 0; at < order.length; ) {
    const value = values[order[at] as number];
    let [tiedPositives, tiedNegatives] = [0, 0];
    for (; at < order.length && values[order[at] as number] === value; at++) {
      const sample = order[at] as number;
      if (labels[sample] === c) tiedPositives += times[sample] as number;
      else tiedNegatives += times[sample] as number;
    }
    sum += tiedPositives * (negatives + tiedNegatives / 2);
    positives += tiedPositives;
    negatives += tiedNegatives;
  }
  return positives > 0 && negatives > 0 ? sum / (positives * negatives) : undefined;
}

/** Mean distance of confidence and accuracy over 15 equal bins of confidence. */
function calibrationError(
  samples: ArrayLike<number>,
  labels: readonly number[],
  found: readonly number[],
  probabilities: readonly Float32Array[],
): number {
  const bins = Array.from({ length: BINS }, () => ({ confidence: 0, hits: 0 }));
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i] as number;
    const confidence = probabilities[sample]?.[found[sample] as number] ?? 0;
    const bin = bins[Math.min(BINS - 1, Math.max(0, Math.ceil(confidence * BINS) - 1))];
    if (!bin) continue;
    bin.confidence += confidence;
    if (labels[sample] === found[sample]) bin.hits += 1;
  }
  const off = bins.reduce((sum, { confidence, hits }) => sum + Math.abs(confidence - hits), 0);
  return off / samples.length;
}
