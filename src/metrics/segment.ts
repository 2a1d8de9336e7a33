// Metrics of labelled pixels. IoU and Dice of a class over all pixels of the samples, the mean over the
// classes that occur (Cordts et al. 2016, as in PASCAL VOC); pixels labelled 255 are left out.

import { defined, type Evaluation, samplesOf } from './evaluation.ts';

const IGNORED = 255;

export class SegmentScores {
  readonly #classes: number;
  /** Per sample and class: pixels of both, of the result, of the truth. */
  readonly #counts: Float64Array[] = [];

  constructor(classes: number) {
    this.#classes = classes;
  }

  /** Classes of the pixels of one sample. */
  add(found: ArrayLike<number>, truth: ArrayLike<number>): void {
    const counts = new Float64Array(3 * this.#classes);
    const count = (kind: number, label: number) => {
      counts[3 * label + kind] = (counts[3 * label + kind] as number) + 1;
    };
    for (let i = 0; i < truth.length; i++) {
      const [own, real] = [Number(found[i]), Number(truth[i])];
      if (real === IGNORED && IGNORED >= this.#classes) continue;
      if (own === real) count(0, real);
      count(1, own);
      count(2, real);
    }
    this.#counts.push(counts);
  }

  finish(): Evaluation {
    const total = this.#counts.length;
    const perClass = (samples: ArrayLike<number>) => {
      const sum = new Float64Array(3 * this.#classes);
      for (let i = 0; i < samples.length; i++) {
        const counts = this.#counts[samples[i] as number] as Float64Array;
        for (let j = 0; j < sum.length; j++) sum[j] = (sum[j] as number) + (counts[j] as number);
      }
      return Array.from({ length: this.#classes }, (_, label) => {
        const [both = 0, own = 0, real = 0] = sum.subarray(3 * label, 3 * label + 3);
        return { both, own, real };
      });
    };
    return {
      count: total,
      compute: (given) => {
        const all = perClass(samplesOf(given, total));
        const there = all.filter(({ own, real }) => own + real > 0);
        const mean = (values: readonly number[]) =>
          values.reduce((a, b) => a + b, 0) / values.length;
        const pixels = all.reduce((sum, { real }) => sum + real, 0);
        return defined({
          miou: mean(there.map(({ both, own, real }) => both / (own + real - both))),
          dice: mean(there.map(({ both, own, real }) => (2 * both) / (own + real))),
          pixel_accuracy: all.reduce((sum, { both }) => sum + both, 0) / pixels,
        });
      },
      perClass: () =>
        perClass(samplesOf(undefined, total)).map(({ both, own, real }, index) => ({
          class: index,
          metrics: defined({ iou: both / (own + real - both) }),
        })),
    };
  }
}
