// Detection as COCO scores it (Lin et al. 2014; the rules are those of pycocotools' COCOeval): average
// precision over ten IoU thresholds, by size of the object, and average recall.

import { type CocoMatches, matchImage } from './coco-match.ts';
import { averagePrecision, averageRecall } from './coco-precision.ts';
import {
  type ClassMetrics,
  defined,
  type Evaluation,
  type Metrics,
  meanOf,
  weightsOf,
} from './evaluation.ts';
import { ratios } from './precision-recall.ts';

/** An object in an image, in pixels of the original image. */
export interface Truth {
  /** [left, top, right, bottom] */
  readonly box: readonly [number, number, number, number];
  readonly class: number;
  /** Of its outline, in pixels: decides whether it is small or large. That of the box when absent. */
  readonly area?: number;
  /** A region of many: detections in it count neither for nor against. */
  readonly isCrowd?: boolean;
}

interface DetectOptions {
  /** From which score on a detection counts for `precision`, `recall` and `f1`; 0.5 unless said. */
  readonly scoreThreshold?: number;
}

/** Accumulates detections and truths, image by image. */
export class Detect {
  readonly #threshold: number;
  readonly #classes = new Map<number, CocoMatches>();
  #images = 0;

  constructor({ scoreThreshold = 0.5 }: DetectOptions = {}) {
    this.#threshold = scoreThreshold;
  }

  /** @param detections of one image, [count, 6]: left, top, right, bottom, score, class */
  add(detections: ArrayLike<number>, truths: readonly Truth[]): void {
    matchImage(this.#classes, this.#images, detections, truths);
    this.#images += 1;
  }

  finish(): Evaluation {
    const classes = [...this.#classes].sort(([a], [b]) => a - b);
    for (const [, matches] of classes) matches.detections.sort((a, b) => b.score - a.score);
    return new DetectEvaluation(this.#images, classes, this.#threshold);
  }
}

const AREAS = ['', '_small', '_medium', '_large'] as const;

class DetectEvaluation implements Evaluation {
  readonly count: number;
  readonly #classes: readonly (readonly [of: number, matches: CocoMatches])[];
  readonly #threshold: number;

  constructor(
    count: number,
    classes: readonly (readonly [of: number, matches: CocoMatches])[],
    threshold: number,
  ) {
    this.count = count;
    this.#classes = classes;
    this.#threshold = threshold;
  }

  /** The means over classes that have objects, and precision, recall and F1 over all at IoU 0.5. */
  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const matches = this.#classes.map(([, row]) => row);
    const metrics: Metrics = {};
    AREAS.forEach((suffix, area) => {
      const precisions = matches.map((row) => averagePrecision(row, area, weights));
      metrics[`ap${suffix}`] = meanOf(precisions.flatMap((row) => [...row]));
      metrics[`ar${suffix || '100'}`] = this.#recall(area, 100, weights);
      if (area > 0) return;
      metrics['ap50'] = meanOf(precisions.map((row) => row[0] as number));
      metrics['ap75'] = meanOf(precisions.map((row) => row[5] as number));
    });
    metrics['ar1'] = this.#recall(0, 1, weights);
    metrics['ar10'] = this.#recall(0, 10, weights);
    return defined({ ...metrics, ...this.#atThreshold(weights) });
  }

  perClass(): ClassMetrics[] {
    const weights = weightsOf(this.count);
    return this.#classes.map(([of, matches]) => {
      const precisions = averagePrecision(matches, 0, weights);
      const metrics = { ap: meanOf(precisions), ap50: precisions[0] as number };
      return { class: of, metrics: defined(metrics) };
    });
  }

  #recall(area: number, most: number, weights: Float64Array): number {
    return meanOf(this.#classes.map(([, row]) => averageRecall(row, area, most, weights)));
  }

  #atThreshold(weights: Float64Array): Metrics {
    let [hits, falsePositives, objects] = [0, 0, 0];
    for (const [, { detections, truths }] of this.#classes) {
      for (const { image, counts } of truths) {
        objects += (weights[image] as number) * (counts[0] as number);
      }
      for (const { image, score, matched, ignored } of detections) {
        if (score < this.#threshold || (ignored[0] as number) & 1) continue;
        if ((matched[0] as number) & 1) hits += weights[image] as number;
        else falsePositives += weights[image] as number;
      }
    }
    if (objects === 0) return {};
    const { precision, recall, f1 } = ratios(hits, falsePositives, objects - hits);
    return { precision, recall, f1 };
  }
}
