// Average precision and recall of one class from its matches: the rules of COCOeval.accumulate.

import { type CocoMatches, IOU_THRESHOLDS } from './coco-match.ts';
import { meanOf } from './evaluation.ts';

/** Precision is read at 101 values of recall, 0, 0.01 … 1. */
const RECALLS = Array.from({ length: 101 }, (_, i) => i * 0.01);

/**
 * Average precision per IoU threshold; all NaN where there is nothing to find.
 *
 * @param matches detections sorted by falling score
 * @param area index of the range of sizes: all, small, medium, large
 * @param weights how often each image counts
 */
export function averagePrecision(
  { detections, truths }: CocoMatches,
  area: number,
  weights: Float64Array,
): Float64Array {
  const result = new Float64Array(IOU_THRESHOLDS.length).fill(Number.NaN);
  const objects = objectsOf(truths, area, weights);
  if (objects === 0) return result;
  const recalls = new Float64Array(detections.length);
  const precisions = new Float64Array(detections.length);
  for (let threshold = 0; threshold < result.length; threshold++) {
    const bit = 1 << threshold;
    let [hits, misses, used] = [0, 0, 0];
    for (const { image, matched, ignored } of detections) {
      const weight = weights[image] as number;
      if (weight === 0 || ((ignored[area] as number) & bit) !== 0) continue;
      if (((matched[area] as number) & bit) !== 0) hits += weight;
      else misses += weight;
      recalls[used] = hits / objects;
      precisions[used] = hits / (hits + misses + Number.EPSILON);
      used += 1;
    }
    result[threshold] = areaUnder(recalls, precisions, used);
  }
  return result;
}

/** Recall of the `most` best detections per image, the mean over IoU thresholds. */
export function averageRecall(
  { detections, truths }: CocoMatches,
  area: number,
  most: number,
  weights: Float64Array,
): number {
  const objects = objectsOf(truths, area, weights);
  if (objects === 0) return Number.NaN;
  return meanOf(
    IOU_THRESHOLDS.map((_, threshold) => {
      let hits = 0;
      for (const { image, rank, matched, ignored } of detections) {
        const found = (matched[area] as number) & ~(ignored[area] as number);
        if (rank < most && (found >> threshold) & 1) hits += weights[image] as number;
      }
      return hits / objects;
    }),
  );
}

function objectsOf(truths: CocoMatches['truths'], area: number, weights: Float64Array): number {
  let objects = 0;
  for (const { image, counts } of truths) {
    objects += (weights[image] as number) * (counts[area] as number);
  }
  return objects;
}

/** The mean over values of recall of the best precision at that recall or beyond. */
function areaUnder(recalls: Float64Array, precisions: Float64Array, used: number): number {
  for (let i = used - 1; i > 0; i--) {
    if ((precisions[i] as number) > (precisions[i - 1] as number)) {
      precisions[i - 1] = precisions[i] as number;
    }
  }
  let [sum, at] = [0, 0];
  for (const recall of RECALLS) {
    while (at < used && (recalls[at] as number) < recall) at += 1;
    if (at < used) sum += precisions[at] as number;
  }
  return sum / RECALLS.length;
}
