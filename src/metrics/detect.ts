// Detection as COCO scores it (Lin et al. 2014; the rules are those of pycocotools' COCOeval): average
// precision over ten IoU thresholds, by size of the object, and average recall.

import { type CocoMatches, matchImage } from './coco-match.ts';
import { ClassPrecision } from './coco-precision.ts';
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
    const precisions = new Map(classes.map(([of, row]) => [of, new ClassPrecision(row)]));
    return new DetectEvaluation(this.#images, precisions, this.#threshold);
  }
}

const AREAS = ['', '_small', '_medium', '_large'] as const;

class DetectEvaluation implements Evaluation {
  readonly count: number;
  readonly #classes: ReadonlyMap<number, ClassPrecision>;
  readonly #threshold: number;

  constructor(count: number, classes: ReadonlyMap<number, ClassPrecision>, threshold: number) {
    this.count = count;
    this.#classes = classes;
    this.#threshold = threshold;
  }

  /** The means over classes that have objects, and precision, recall and F1 over all at IoU 0.5. */
  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const classes = [...this.#classes.values()];
    const metrics: Metrics = {};
    AREAS.forEach((suffix, area) => {
      const precisions = classes.map((row) => row.average(area, weights));
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
    return [...this.#classes].map(([of, row]) => {
      const precisions = row.average(0, weights);
      const metrics = { ap: meanOf(precisions), ap50: precisions[0] as number };
      return { class: of, metrics: defined(metrics) };
    });
  }

  #recall(area: number, most: number, weights: Float64Array): number {
    return meanOf([...this.#classes.values()].map((row) => row.recall(area, most, weights)));
  }

  #atThreshold(weights: Float64Array): Metrics {
    let [hits, falsePositives, objects] = [0, 0, 0];
    for (const row of this.#classes.values()) {
      const [own, others] = row.countFrom(this.#threshold, weights);
      hits += own;
      falsePositives += others;
      objects += row.objects(0, weights);
    }
    if (objects === 0) return {};
    const { precision, recall, f1 } = ratios(hits, falsePositives, objects - hits);
    return { precision, recall, f1 };
  }
}
