// Average precision and recall of boxes as COCO's evaluation has them (pycocotools, cocoeval.py), and
// precision, recall and F1 at one score. Boxes are [x, y, width, height] in pixels of the image.

import { defined, type Evaluation, type Metrics, meanOf, samplesOf } from './evaluation.ts';

export interface Truth {
  readonly label: number;
  readonly box: readonly [x: number, y: number, width: number, height: number];
  readonly area: number;
  /** A region with many of them: what is found there counts neither way. */
  readonly isCrowd: boolean;
}

export interface Found {
  readonly label: number;
  readonly box: readonly [x: number, y: number, width: number, height: number];
  readonly score: number;
}

const THRESHOLDS = Array.from({ length: 10 }, (_, i) => 0.5 + 0.05 * i);
const RECALLS = Array.from({ length: 101 }, (_, i) => i / 100);
const MOST = 100;
const SIZES = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;
type SizeName = keyof typeof SIZES;
const SIZE_NAMES = Object.keys(SIZES) as SizeName[];

/** One class in one image, for one range of sizes. */
interface Matches {
  readonly scores: Float64Array;
  /** Per threshold and box: 1 hit, 0 miss, -1 counts neither way. */
  readonly verdicts: readonly Int8Array[];
  /** Boxes of the truth that count. */
  readonly positives: number;
}

/** Takes in images one by one. */
export class DetectScores {
  readonly #classes: number;
  /** Score from which a box counts for precision, recall and F1. */
  readonly #threshold: number;
  /** Per image: matches by class and size. */
  readonly #images: Map<number, Record<SizeName, Matches>>[] = [];

  constructor(classes: number, threshold = 0.5) {
    this.#classes = classes;
    this.#threshold = threshold;
  }

  add(found: readonly Found[], truth: readonly Truth[]): void {
    const image = new Map<number, Record<SizeName, Matches>>();
    const labels = new Set([...found, ...truth].map(({ label }) => label));
    for (const label of labels) {
      const boxes = found.filter((one) => one.label === label);
      const real = truth.filter((one) => one.label === label);
      boxes.sort((a, b) => b.score - a.score);
      const best = boxes.slice(0, MOST);
      const overlaps = best.map((box) => real.map((one) => overlap(box.box, one)));
      const bySize = SIZE_NAMES.map((size) => [size, match(best, real, overlaps, SIZES[size])]);
      image.set(label, Object.fromEntries(bySize) as Record<SizeName, Matches>);
    }
    this.#images.push(image);
  }

  finish(): Evaluation {
    const count = this.#images.length;
    return {
      count,
      compute: (given) => {
        const samples = samplesOf(given, count);
        const all = this.#curves(samples, 'all', MOST);
        const main = { ...precisions(all, ''), ...this.#atThreshold(samples) };
        return defined(given ? main : { ...main, ...this.#more(samples, all) });
      },
      perClass: () =>
        this.#curves(samplesOf(undefined, count), 'all', MOST).map(({ label, ap }) => ({
          class: label,
          metrics: { ap: mean(ap) },
        })),
    };
  }

  /** By size, and recall by the number of boxes an image may have. */
  #more(samples: ArrayLike<number>, all: readonly Curve[]): Metrics {
    const found: Metrics = {};
    for (const size of ['small', 'medium', 'large'] as const) {
      const curves = this.#curves(samples, size, MOST);
      found[`ap_${size}`] = meanOf(curves.map(({ ap }) => mean(ap)));
      found[`ar_${size}`] = meanOf(curves.map(({ recall }) => mean(recall)));
    }
    for (const most of [1, 10]) {
      const curves = this.#curves(samples, 'all', most);
      found[`ar${most}`] = meanOf(curves.map(({ recall }) => mean(recall)));
    }
    found['ar100'] = meanOf(all.map(({ recall }) => mean(recall)));
    return defined(found);
  }

  /** Per class that has boxes in the truth. */
  #curves(samples: ArrayLike<number>, size: SizeName, most: number): Curve[] {
    const curves: Curve[] = [];
    for (let label = 0; label < this.#classes; label++) {
      const parts: Matches[] = [];
      for (let i = 0; i < samples.length; i++) {
        const part = this.#images[samples[i] as number]?.get(label)?.[size];
        if (part) parts.push(part);
      }
      const curve = curveOf(label, parts, most);
      if (curve) curves.push(curve);
    }
    return curves;
  }

  #atThreshold(samples: ArrayLike<number>): Metrics {
    let [hits, misses, positives] = [0, 0, 0];
    for (let i = 0; i < samples.length; i++) {
      for (const { all } of this.#images[samples[i] as number]?.values() ?? []) {
        positives += all.positives;
        all.scores.forEach((score, j) => {
          const verdict = all.verdicts[0]?.[j];
          if (score < this.#threshold || verdict === -1) return;
          if (verdict === 1) hits += 1;
          else misses += 1;
        });
      }
    }
    const precision = hits + misses > 0 ? hits / (hits + misses) : 0;
    const recall = positives > 0 ? hits / positives : Number.NaN;
    const f1 = (2 * hits) / (hits + misses + positives);
    return defined({ precision, recall, f1 });
  }
}

/** Shares of the union; for a crowd, of the box found. */
function overlap(box: Found['box'], { box: other, isCrowd }: Truth): number {
  const [x, y, width, height] = box;
  const [ox, oy, oWidth, oHeight] = other;
  const w = Math.min(x + width, ox + oWidth) - Math.max(x, ox);
  const h = Math.min(y + height, oy + oHeight) - Math.max(y, oy);
  if (w <= 0 || h <= 0) return 0;
  const own = width * height;
  return (w * h) / (isCrowd ? own : own + oWidth * oHeight - w * h);
}

/** Each box takes the best free one of the truth, the highest score first. */
function match(
  found: readonly Found[],
  truth: readonly Truth[],
  overlaps: readonly (readonly number[])[],
  [least, most]: readonly [number, number],
): Matches {
  const isIgnored = truth.map(({ area, isCrowd }) => isCrowd || area < least || area > most);
  // What counts comes first, and is preferred.
  const order = [...truth.keys()].sort((a, b) => Number(isIgnored[a]) - Number(isIgnored[b]));
  const verdicts = THRESHOLDS.map((threshold) => {
    const taken = new Set<number>();
    return Int8Array.from(found, ({ box }, i) => {
      const best = bestFree(order, overlaps[i] ?? [], threshold, (g, current) => {
        if (taken.has(g) && !truth[g]?.isCrowd) return 'skip';
        return current !== undefined && !isIgnored[current] && isIgnored[g] ? 'stop' : 'take';
      });
      if (best === undefined) {
        const area = box[2] * box[3];
        return area < least || area > most ? -1 : 0;
      }
      taken.add(best);
      return isIgnored[best] ? -1 : 1;
    });
  });
  return {
    scores: Float64Array.from(found, ({ score }) => score),
    verdicts,
    positives: isIgnored.filter((ignored) => !ignored).length,
  };
}

type Advice = (g: number, current: number | undefined) => 'skip' | 'stop' | 'take';

function bestFree(
  order: readonly number[],
  overlaps: readonly number[],
  threshold: number,
  advise: Advice,
): number | undefined {
  let limit = Math.min(threshold, 1 - 1e-10);
  let best: number | undefined;
  for (const g of order) {
    const advice = advise(g, best);
    if (advice === 'stop') break;
    if (advice === 'skip' || (overlaps[g] ?? 0) < limit) continue;
    limit = overlaps[g] ?? 0;
    best = g;
  }
  return best;
}

interface Curve {
  readonly label: number;
  /** Per threshold: the mean precision at 101 recalls, and the highest recall. */
  readonly ap: readonly number[];
  readonly recall: readonly number[];
}

function curveOf(label: number, parts: readonly Matches[], most: number): Curve | undefined {
  const positives = parts.reduce((sum, part) => sum + part.positives, 0);
  if (positives === 0) return undefined;
  const entries = parts.flatMap((part) =>
    Array.from(part.scores.subarray(0, most), (score, i) => ({ score, part, i })),
  );
  entries.sort((a, b) => b.score - a.score);
  const ap: number[] = [];
  const recall: number[] = [];
  for (let t = 0; t < THRESHOLDS.length; t++) {
    const verdicts = entries.map(({ part, i }) => part.verdicts[t]?.[i] ?? 0);
    const counted = verdicts.filter((verdict) => verdict !== -1);
    const curve = precisionCurve(counted, positives);
    ap.push(curve.ap);
    recall.push(curve.recall);
  }
  return { label, ap, recall };
}

function precisionCurve(verdicts: readonly number[], positives: number) {
  const precision = new Float64Array(verdicts.length);
  const recall = new Float64Array(verdicts.length);
  let hits = 0;
  verdicts.forEach((verdict, i) => {
    hits += verdict;
    precision[i] = hits / (i + 1);
    recall[i] = hits / positives;
  });
  for (let i = precision.length - 1; i > 0; i--) {
    precision[i - 1] = Math.max(precision[i - 1] as number, precision[i] as number);
  }
  let at = 0;
  let sum = 0;
  for (const wanted of RECALLS) {
    while (at < recall.length && (recall[at] as number) < wanted) at += 1;
    sum += precision[at] ?? 0;
  }
  return { ap: sum / RECALLS.length, recall: recall.at(-1) ?? 0 };
}

function precisions(curves: readonly Curve[], suffix: string): Metrics {
  return defined({
    [`ap${suffix}`]: meanOf(curves.map(({ ap }) => mean(ap))),
    [`ap50${suffix}`]: meanOf(curves.map(({ ap }) => ap[0] as number)),
    [`ap75${suffix}`]: meanOf(curves.map(({ ap }) => ap[5] as number)),
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
