// Which detection finds which object in one image, for every IoU threshold and range of sizes: the
// rules of pycocotools' COCOeval.evaluateImg.

import { areaOf, type Box, intersection, iou } from './boxes.ts';
import type { Truth } from './detect.ts';

/** 0.50, 0.55 … 0.95. */
export const IOU_THRESHOLDS = Array.from({ length: 10 }, (_, i) =>
  i === 9 ? 0.95 : ((0.95 - 0.5) / 9) * i + 0.5,
);

/** Areas of objects in pixels, both ends included: all, small, medium, large. */
const AREA_RANGES = [
  [0, 1e10],
  [0, 32 ** 2],
  [32 ** 2, 96 ** 2],
  [96 ** 2, 1e10],
] as const;

/** No more detections of a class are looked at in an image. */
const MOST_DETECTIONS = 100;

export interface MatchedDetection {
  readonly image: number;
  readonly score: number;
  /** Position among the detections of its class in its image, by falling score. */
  readonly rank: number;
  /** By range of sizes, one bit per IoU threshold: found an object; counts neither way. */
  readonly matched: readonly number[];
  readonly ignored: readonly number[];
}

/** All of one class. */
export interface CocoMatches {
  readonly detections: MatchedDetection[];
  /** Per image with objects: how many there are to find, by range of sizes. */
  readonly truths: { readonly image: number; readonly counts: readonly number[] }[];
}

interface Detection {
  readonly box: readonly number[];
  readonly score: number;
}

/** Adds one image to the matches by class. */
export function matchImage(
  classes: Map<number, CocoMatches>,
  image: number,
  detections: ArrayLike<number>,
  truths: readonly Truth[],
): void {
  const found = new Map<number, { detections: Detection[]; truths: Truth[] }>();
  const of = (index: number) => {
    const row = found.get(index) ?? { detections: [], truths: [] };
    found.set(index, row);
    return row;
  };
  for (let at = 0; at + 6 <= detections.length; at += 6) {
    const row = Array.from({ length: 6 }, (_, i) => detections[at + i] as number);
    of(row[5] as number).detections.push({ box: row.slice(0, 4), score: row[4] as number });
  }
  for (const truth of truths) of(truth.class).truths.push(truth);
  for (const [index, row] of found) {
    const matches = classes.get(index) ?? { detections: [], truths: [] };
    classes.set(index, matches);
    matchClass(matches, image, row.detections, row.truths);
  }
}

function matchClass(
  { detections, truths }: CocoMatches,
  image: number,
  found: readonly Detection[],
  wanted: readonly Truth[],
): void {
  const best = [...found].sort((a, b) => b.score - a.score).slice(0, MOST_DETECTIONS);
  const overlaps = best.map(({ box }) => wanted.map((truth) => overlap(box, truth)));
  const rows = best.map(({ score }, rank) => {
    return { image, score, rank, matched: [0, 0, 0, 0], ignored: [0, 0, 0, 0] };
  });
  const counts = AREA_RANGES.map((range, area) => {
    const isIgnored = wanted.map(
      (truth) => truth.isCrowd || !isWithin(truth.area ?? areaOf(truth.box), range),
    );
    // Objects that count come first: one that does not is taken only where none else fits.
    const order = wanted
      .map((_, i) => i)
      .sort((a, b) => +(isIgnored[a] ?? 0) - +(isIgnored[b] ?? 0));
    IOU_THRESHOLDS.forEach((threshold, bit) => {
      const taken = new Set<number>();
      rows.forEach((row, at) => {
        const candidates = order.filter((i) => !taken.has(i) || wanted[i]?.isCrowd);
        const match = bestMatch(overlaps[at] ?? [], candidates, isIgnored, threshold);
        if (match !== undefined) taken.add(match);
        const isMatched = match !== undefined;
        const { box = [] } = best[at] ?? {};
        const ignore = isMatched ? isIgnored[match] : !isWithin(areaOf(box), range);
        if (isMatched) row.matched[area] = (row.matched[area] as number) | (1 << bit);
        if (ignore) row.ignored[area] = (row.ignored[area] as number) | (1 << bit);
      });
    });
    return isIgnored.filter((ignored) => !ignored).length;
  });
  detections.push(...rows);
  if (wanted.length > 0) truths.push({ image, counts });
}

/** The object of highest overlap, the last of equals; one that counts before one that does not. */
function bestMatch(
  overlaps: readonly number[],
  candidates: readonly number[],
  isIgnored: readonly boolean[],
  threshold: number,
): number | undefined {
  let least = Math.min(threshold, 1 - 1e-10);
  let match: number | undefined;
  for (const candidate of candidates) {
    if (match !== undefined && !isIgnored[match] && isIgnored[candidate]) break;
    const overlap = overlaps[candidate] as number;
    if (overlap < least) continue;
    least = overlap;
    match = candidate;
  }
  return match;
}

/** Intersection over union; over the detection alone where the object is a crowd. */
function overlap(box: Box, truth: Truth): number {
  return truth.isCrowd ? intersection(box, truth.box) / areaOf(box) : iou(box, truth.box);
}

function isWithin(area: number, [low, high]: readonly [number, number]): boolean {
  return area >= low && area <= high;
}
