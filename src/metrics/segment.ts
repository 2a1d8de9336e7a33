// Semantic segmentation: one class per pixel. Intersection over union and Dice per class are taken over
// all pixels of all images (Everingham et al. 2010, PASCAL VOC), then averaged over the classes that
// occur in labels or predictions.

import { labelOutOfRange, scoredShapesDiffer } from '../errors/metrics.ts';
import {
  type ClassMetrics,
  defined,
  type Evaluation,
  type Metrics,
  meanOf,
  type Values,
  weightsOf,
} from './evaluation.ts';

interface SegmentOptions {
  /** Pixels with this label count nowhere; 255 unless said. */
  readonly ignore?: number;
  /** For one channel of scores: class 1 from beyond this value on. Class indices when absent. */
  readonly threshold?: number;
}

/** Pixels of one class in one image. */
interface Pixels {
  hits: number;
  falsePositives: number;
  misses: number;
}

/** Accumulates class scores and labels of images. */
export class Segment {
  readonly #ignore: number;
  readonly #threshold: number | undefined;
  /** Per image, the classes that occur in it. */
  readonly #images: Map<number, Pixels>[] = [];

  constructor({ ignore = 255, threshold }: SegmentOptions = {}) {
    this.#ignore = ignore;
    this.#threshold = threshold;
  }

  /**
   * @param scores [N, C, H, W], the highest wins; with C = 1, or as [N, H, W], class indices
   * @param labels a class per pixel, [N, H, W]
   */
  add(scores: Values, shape: readonly number[], labels: Values): void {
    const [count = 0] = shape;
    const channels = shape.length === 4 ? (shape[1] ?? 1) : 1;
    if (scores.length !== labels.length * channels) {
      throw scoredShapesDiffer('segment', ['scores', shape], ['labels', [labels.length]]);
    }
    const pixels = labels.length / count;
    for (let image = 0; image < count; image++) {
      const found = new Map<number, Pixels>();
      for (let pixel = 0; pixel < pixels; pixel++) {
        const label = Number(labels[image * pixels + pixel]);
        if (label === this.#ignore) continue;
        if (label < 0 || (channels > 1 && label >= channels)) {
          throw labelOutOfRange(label, channels, this.#images.length);
        }
        const first = image * channels * pixels + pixel;
        countPixel(found, this.#predict(scores, first, channels, pixels), label);
      }
      this.#images.push(found);
    }
  }

  #predict(scores: Values, first: number, channels: number, stride: number): number {
    if (channels > 1) return highest(scores, first, channels, stride);
    const value = Number(scores[first]);
    if (this.#threshold === undefined) return value;
    return value > this.#threshold ? 1 : 0;
  }

  finish(): Evaluation {
    return new SegmentEvaluation(this.#images);
  }
}

function highest(scores: Values, first: number, channels: number, stride: number): number {
  let best = 0;
  for (let i = 1; i < channels; i++) {
    if (Number(scores[first + i * stride]) > Number(scores[first + best * stride])) best = i;
  }
  return best;
}

function countPixel(found: Map<number, Pixels>, predicted: number, label: number): void {
  if (predicted === label) pixelsOf(found, label).hits += 1;
  else {
    pixelsOf(found, predicted).falsePositives += 1;
    pixelsOf(found, label).misses += 1;
  }
}

function pixelsOf(found: Map<number, Pixels>, of: number): Pixels {
  const pixels = found.get(of) ?? { hits: 0, falsePositives: 0, misses: 0 };
  found.set(of, pixels);
  return pixels;
}

class SegmentEvaluation implements Evaluation {
  readonly #images: readonly Map<number, Pixels>[];

  constructor(images: readonly Map<number, Pixels>[]) {
    this.#images = images;
  }

  get count(): number {
    return this.#images.length;
  }

  compute(samples?: ArrayLike<number>): Metrics {
    const rows = this.#sums(weightsOf(this.count, samples));
    const hits = rows.reduce((sum, [, row]) => sum + row.hits, 0);
    const labelled = rows.reduce((sum, [, row]) => sum + row.hits + row.misses, 0);
    return defined({
      miou: meanOf(rows.map(([, row]) => overlap(row))),
      dice: meanOf(rows.map(([, row]) => dice(row))),
      pixel_accuracy: hits / labelled,
    });
  }

  perClass(): ClassMetrics[] {
    return this.#sums(weightsOf(this.count)).map(([of, row]) => {
      return { class: of, metrics: defined({ iou: overlap(row), dice: dice(row) }) };
    });
  }

  #sums(weights: Float64Array): [of: number, pixels: Pixels][] {
    const sums = new Map<number, Pixels>();
    this.#images.forEach((image, i) => {
      const weight = weights[i] as number;
      for (const [of, { hits, falsePositives, misses }] of image) {
        const sum = pixelsOf(sums, of);
        sum.hits += weight * hits;
        sum.falsePositives += weight * falsePositives;
        sum.misses += weight * misses;
      }
    });
    return [...sums].sort(([a], [b]) => a - b);
  }
}

/** NaN for a class that does not occur. */
function overlap({ hits, falsePositives, misses }: Pixels): number {
  return hits / (hits + falsePositives + misses);
}

function dice({ hits, falsePositives, misses }: Pixels): number {
  return (2 * hits) / (2 * hits + falsePositives + misses);
}
