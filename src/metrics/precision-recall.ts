// Precision, recall and F1 from counts per class, and their means: `macro` over classes, `weighted` by
// the support of the classes, `micro` from the sums of the counts. A ratio without cases counts as 0,
// and a class that is neither in the labels nor in the predictions does not count (scikit-learn's way).

import { type ClassMetrics, type Metrics, meanOf } from './evaluation.ts';

/** Counts per class: true positives, false positives, false negatives. */
export class ClassCounts {
  readonly hits: Float64Array;
  readonly falsePositives: Float64Array;
  readonly misses: Float64Array;

  constructor(classes: number) {
    this.hits = new Float64Array(classes);
    this.falsePositives = new Float64Array(classes);
    this.misses = new Float64Array(classes);
  }

  /** One sample of exactly one class. */
  add(predicted: number, label: number, weight: number): void {
    if (predicted === label) this.#count(this.hits, label, weight);
    else {
      this.#count(this.falsePositives, predicted, weight);
      this.#count(this.misses, label, weight);
    }
  }

  /** One label of a sample that may have several. */
  addLabel(of: number, isPredicted: boolean, isLabel: boolean, weight: number): void {
    if (isPredicted && isLabel) this.#count(this.hits, of, weight);
    else if (isPredicted) this.#count(this.falsePositives, of, weight);
    else if (isLabel) this.#count(this.misses, of, weight);
  }

  #count(counts: Float64Array, of: number, weight: number): void {
    counts[of] = (counts[of] as number) + weight;
  }

  /** Of one class: `precision`, `recall`, `f1` and `support`, the number of samples that have it. */
  of(index: number): PrecisionRecall {
    return ratios(
      this.hits[index] as number,
      this.falsePositives[index] as number,
      this.misses[index] as number,
    );
  }

  /** Of all classes. */
  each(): ClassMetrics[] {
    return Array.from(this.hits, (_, index) => ({ class: index, metrics: { ...this.of(index) } }));
  }

  /** Micro, macro and weighted means; `isEvery` also counts classes that never occur. */
  means(isEvery = false): Metrics {
    const rows = Array.from(this.hits, (_, index) => this.of(index));
    const present = rows.filter((row, index) => {
      return isEvery || row.support > 0 || (this.falsePositives[index] as number) > 0;
    });
    const support = present.reduce((sum, row) => sum + row.support, 0);
    const micro = ratios(sumOf(this.hits), sumOf(this.falsePositives), sumOf(this.misses));
    const metrics: Metrics = {};
    for (const name of ['precision', 'recall', 'f1'] as const) {
      metrics[`${name}_micro`] = micro[name];
      metrics[`${name}_macro`] = meanOf(present.map((row) => row[name]));
      const weighted = present.reduce((sum, row) => sum + row[name] * row.support, 0);
      metrics[`${name}_weighted`] = support > 0 ? weighted / support : 0;
    }
    return metrics;
  }
}

export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly support: number;
}

/** The ratios of one class; 0 where there are no cases. */
export function ratios(hits: number, falsePositives: number, misses: number): PrecisionRecall {
  const share = (of: number) => (of > 0 ? hits / of : 0);
  return {
    precision: share(hits + falsePositives),
    recall: share(hits + misses),
    f1: share(hits + (falsePositives + misses) / 2),
    support: hits + misses,
  };
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
