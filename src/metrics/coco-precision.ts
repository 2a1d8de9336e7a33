// Average precision and recall of one class from its matches: the rules of COCOeval.accumulate.

import { type CocoMatches, IOU_THRESHOLDS } from './coco-match.ts';
import { meanOf } from './evaluation.ts';

/** Precision is read at 101 values of recall, 0, 0.01 … 1. */
const RECALLS = Array.from({ length: 101 }, (_, i) => i * 0.01);

/** Range of sizes: index into all, small, medium, large. */
type Area = number;

/** Detections of one class, sorted once by falling score, for many weightings of the images. */
export class ClassPrecision {
  readonly #truths: CocoMatches['truths'];
  readonly #images: Uint32Array;
  readonly #scores: Float64Array;
  readonly #ranks: Uint16Array;
  /** By range of sizes, a bit per IoU threshold. */
  readonly #matched: readonly Uint16Array[];
  readonly #ignored: readonly Uint16Array[];

  constructor({ detections, truths }: CocoMatches) {
    const sorted = [...detections].sort((a, b) => b.score - a.score);
    this.#truths = truths;
    this.#images = Uint32Array.from(sorted, ({ image }) => image);
    this.#scores = Float64Array.from(sorted, ({ score }) => score);
    this.#ranks = Uint16Array.from(sorted, ({ rank }) => rank);
    const areas = [0, 1, 2, 3];
    this.#matched = areas.map((area) => Uint16Array.from(sorted, (row) => row.matched[area] ?? 0));
    this.#ignored = areas.map((area) => Uint16Array.from(sorted, (row) => row.ignored[area] ?? 0));
  }

  /** How many there are to find. */
  objects(area: Area, weights: Float64Array): number {
    let objects = 0;
    for (const { image, counts } of this.#truths) {
      objects += (weights[image] as number) * (counts[area] as number);
    }
    return objects;
  }

  /** Per IoU threshold; all NaN where there is nothing to find. */
  average(area: Area, weights: Float64Array): Float64Array {
    const count = IOU_THRESHOLDS.length;
    const objects = this.objects(area, weights);
    if (objects === 0) return new Float64Array(count).fill(Number.NaN);
    const [hits, misses] = [new Float64Array(count), new Float64Array(count)];
    const curves = Array.from({ length: count }, () => new Curve());
    const matched = this.#matched[area] as Uint16Array;
    const ignored = this.#ignored[area] as Uint16Array;
    // Most detections find nothing at any threshold: those are counted once for all of them.
    let common = 0;
    for (let i = 0; i < this.#images.length; i++) {
      const weight = weights[this.#images[i] as number] as number;
      if (weight === 0) continue;
      const [found, skipped] = [matched[i] as number, ignored[i] as number];
      if ((found | skipped) === 0) common += weight;
      else {
        for (let threshold = 0; threshold < count; threshold++) {
          const bit = 1 << threshold;
          if ((skipped & bit) !== 0) continue;
          if ((found & bit) === 0) misses[threshold] = (misses[threshold] as number) + weight;
          else {
            const all = (hits[threshold] as number) + weight;
            hits[threshold] = all;
            const precision = all / (all + (misses[threshold] as number) + common + Number.EPSILON);
            // Between hits precision only falls: what is read is the precision at a hit.
            (curves[threshold] as Curve).add(all / objects, precision);
          }
        }
      }
    }
    return Float64Array.from(curves, (curve) => curve.area());
  }

  /** Recall of the `most` best detections per image, the mean over IoU thresholds. */
  recall(area: Area, most: number, weights: Float64Array): number {
    const objects = this.objects(area, weights);
    if (objects === 0) return Number.NaN;
    const hits = new Float64Array(IOU_THRESHOLDS.length);
    const [matched, ignored] = [this.#matched[area], this.#ignored[area]];
    for (let i = 0; i < this.#images.length; i++) {
      const found = (matched?.[i] ?? 0) & ~(ignored?.[i] ?? 0);
      if (found === 0 || (this.#ranks[i] as number) >= most) continue;
      const weight = weights[this.#images[i] as number] as number;
      for (let bit = 0; bit < hits.length; bit++) {
        if ((found >> bit) & 1) hits[bit] = (hits[bit] as number) + weight;
      }
    }
    return meanOf(hits) / objects;
  }

  /** Detections of at least this score that hit, and that do not, at IoU 0.5. */
  countFrom(score: number, weights: Float64Array): [hits: number, falsePositives: number] {
    let [hits, falsePositives] = [0, 0];
    for (let i = 0; i < this.#images.length && (this.#scores[i] as number) >= score; i++) {
      if ((this.#ignored[0]?.[i] ?? 0) & 1) continue;
      const weight = weights[this.#images[i] as number] as number;
      if ((this.#matched[0]?.[i] ?? 0) & 1) hits += weight;
      else falsePositives += weight;
    }
    return [hits, falsePositives];
  }
}

/** Precision over recall, point by point. */
class Curve {
  readonly #recalls: number[] = [];
  readonly #precisions: number[] = [];

  add(recall: number, precision: number): void {
    this.#recalls.push(recall);
    this.#precisions.push(precision);
  }

  /** The mean over values of recall of the best precision at that recall or beyond. */
  area(): number {
    const [recalls, precisions] = [this.#recalls, this.#precisions];
    for (let i = precisions.length - 1; i > 0; i--) {
      const precision = precisions[i] as number;
      if (precision > (precisions[i - 1] as number)) precisions[i - 1] = precision;
    }
    let [sum, at] = [0, 0];
    for (const recall of RECALLS) {
      while (at < recalls.length && (recalls[at] as number) < recall) at += 1;
      if (at === recalls.length) break;
      sum += precisions[at] as number;
    }
    return sum / RECALLS.length;
  }
}
