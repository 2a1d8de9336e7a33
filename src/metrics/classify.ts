// Classification: one class of several, yes or no, or several labels at once, told by the shapes of
// scores and labels. Scores may be logits, log-probabilities or probabilities: they are taken for
// probabilities where all rows look like some (softmax or sigmoid changes nothing but loss, AUROC and
// calibration error).

import { labelOutOfRange, notANumber, scoredShapesDiffer } from '../errors/metrics.ts';
import { ClassEvaluation } from './class-evaluation.ts';
import type { Evaluation, Values } from './evaluation.ts';
import { LabelsEvaluation } from './labels-evaluation.ts';

/** What one row of scores says about its sample, under both readings of the scores. */
export interface ClassRow {
  readonly label: number;
  readonly predicted: number;
  /** Classes that score higher than the label (or as high, at a lower index). */
  readonly rank: number;
  /** Read as logits: log-probability of the label, probability of the predicted class. */
  readonly logit: { readonly label: number; readonly top: number };
  /** The scores themselves, of the label and of the predicted class. */
  readonly raw: { readonly label: number; readonly top: number };
}

/** Beyond this many classes scores are not kept, and there is no AUROC: 4 bytes per sample and class. */
const MOST_CLASSES_FOR_AUROC = 128;

/** What rows of probabilities may miss 1 by: 16-bit and 8-bit outputs round. */
const SUM_TOLERANCE = 0.02;

/** Accumulates scores and labels of a classifier. */
export class Classify {
  readonly #topK: readonly number[];
  #classes = 0;
  #rows: ClassRow[] = [];
  /** Raw scores, batch by batch. */
  #scores: Float32Array[] = [];
  /** Batches of [rows, classes] zeros and ones, for tasks with several labels. */
  #labels: Uint8Array[] = [];
  /** Labels of a model with one output. */
  #answers: number[] = [];
  #isBetween0And1 = true;
  #isSum1 = true;
  #count = 0;

  constructor(options: { readonly topK?: readonly number[] } = {}) {
    this.#topK = options.topK ?? [5];
  }

  /**
   * @param scores row by row, [rows, classes] or [rows, classes, 1, 1]; [rows] or [rows, 1] for yes or no
   * @param labels a class index per row; or zeros and ones [rows, classes] for several labels per row
   */
  add(scores: ArrayLike<number>, shape: readonly number[], labels: Values): void {
    const rows = shape[0] ?? 1;
    const classes = rows > 0 ? scores.length / rows : 0;
    if (rows === 0) return;
    const isMulti = labels.length === rows * classes && classes > 1;
    const isKnown = this.#count === 0 || this.#classes === classes;
    if (!isKnown || !(labels.length === rows || isMulti)) {
      throw scoredShapesDiffer('classify', ['scores', shape], ['labels', [labels.length]]);
    }
    this.#classes = classes;
    for (let row = 0; row < rows; row++) {
      this.#addRow(scores, row, isMulti ? undefined : Number(labels[row]));
    }
    if (isMulti || classes <= MOST_CLASSES_FOR_AUROC) this.#scores.push(Float32Array.from(scores));
    if (isMulti) this.#labels.push(Uint8Array.from(labels, Number));
  }

  /** `label` is undefined where a row has several. */
  #addRow(scores: ArrayLike<number>, row: number, label: number | undefined): void {
    const classes = this.#classes;
    const values = Array.from({ length: classes }, (_, i) => scores[row * classes + i] as number);
    if (values.some(Number.isNaN)) throw notANumber('classify', this.#count);
    const sum = values.reduce((total, value) => total + value, 0);
    this.#isBetween0And1 &&= values.every((value) => value >= 0 && value <= 1);
    this.#isSum1 &&= Math.abs(sum - 1) < SUM_TOLERANCE;
    if (label !== undefined) {
      const most = Math.max(2, classes);
      const isClass = Number.isInteger(label) && label >= 0 && label < most;
      if (!isClass) throw labelOutOfRange(label, most, this.#count);
      if (classes === 1) this.#answers.push(label);
      else this.#rows.push(rowOf(values, label));
    }
    this.#count += 1;
  }

  finish(): Evaluation {
    const scores = concatenate(this.#scores);
    if (this.#labels.length > 0) {
      const labels = concatenate(this.#labels, Uint8Array);
      return new LabelsEvaluation(scores, labels, this.#classes, this.#isBetween0And1);
    }
    const options = { topK: this.#topK, classes: Math.max(2, this.#classes) };
    if (this.#classes !== 1) {
      const areProbabilities = this.#isBetween0And1 && this.#isSum1;
      return new ClassEvaluation(this.#rows, scores, { ...options, areProbabilities });
    }
    // Yes or no is a choice of two: of [1 - p, p], or of the logits [0, x].
    const areProbabilities = this.#isBetween0And1;
    const pairs = Float64Array.from({ length: 2 * scores.length }, (_, i) => {
      const score = scores[i >> 1] as number;
      if (i % 2 === 1) return score;
      return areProbabilities ? 1 - score : 0;
    });
    const rows = this.#answers.map((label, i) => rowOf(pairs.subarray(2 * i, 2 * i + 2), label));
    return new ClassEvaluation(rows, pairs, { ...options, areProbabilities });
  }
}

function rowOf(values: ArrayLike<number>, label: number): ClassRow {
  let [predicted, rank, total] = [0, 0, 0];
  const own = values[label] as number;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value > (values[predicted] as number)) predicted = i;
    if (value > own || (value === own && i < label)) rank += 1;
  }
  const top = values[predicted] as number;
  for (let i = 0; i < values.length; i++) total += Math.exp((values[i] as number) - top);
  const logit = { label: own - top - Math.log(total), top: 1 / total };
  return { label, predicted, rank, logit, raw: { label: own, top } };
}

function concatenate<T extends Float32Array | Uint8Array = Float32Array>(
  parts: readonly T[],
  array: { new (length: number): T } = Float32Array as never,
): T {
  const all = new array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
