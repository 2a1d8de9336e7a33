// What a detector hands out, and what is made of it.

import type { Values } from '../evaluation.ts';

/** One output of a model. */
export interface Output {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Values;
}

/** Pixels of the model's input. */
export interface InputSize {
  readonly height: number;
  readonly width: number;
}

/** Left, top, right, bottom in pixels of the model's input, score, class. */
export type Detection = readonly [number, number, number, number, number, number];

/** A kind of detector: how to know it by its outputs, and how to read them. */
export interface Head {
  /** What its outputs are, for messages. */
  readonly outputs: string;
  /** Whether detections of one object are still to be suppressed but the best. */
  readonly needsSuppression: boolean;
  fits(outputs: readonly Output[], size: InputSize): boolean;
  /** Detections in one image that score above `least`. */
  read(outputs: readonly Output[], image: number, size: InputSize, least: number): Detection[];
}

/** One image's part of a float output [N, rows, columns], or of one without batch. */
export class Table {
  readonly rows: number;
  readonly columns: number;
  readonly #values: ArrayLike<number>;
  readonly #first: number;

  constructor({ shape, values }: Output, image: number) {
    this.rows = shape.at(-2) ?? 1;
    this.columns = shape.at(-1) ?? 1;
    this.#values = values as ArrayLike<number>;
    this.#first = image * this.rows * this.columns;
  }

  at(row: number, column: number): number {
    return this.#values[this.#first + row * this.columns + column] as number;
  }

  /** What `make` has to say of each row, given a reader of its columns. */
  flatMap<T>(make: (at: (column: number) => number, row: number) => readonly T[]): T[] {
    return Array.from({ length: this.rows }, (_, row) => {
      return make((column) => this.at(row, column), row);
    }).flat();
  }
}

/** A box once per class that scores above `least`: detectors of several labels do not choose one. */
export function perClass(
  box: () => readonly [number, number, number, number],
  scoreOf: (index: number) => number,
  classes: number,
  least: number,
): Detection[] {
  const found: Detection[] = [];
  for (let index = 0; index < classes; index++) {
    const score = scoreOf(index);
    if (score > least) found.push([...box(), score, index]);
  }
  return found;
}

/** A box once, of the class that scores highest, if that is above `least`. */
export function bestClass(
  box: () => readonly [number, number, number, number],
  scoreOf: (index: number) => number,
  classes: number,
  least: number,
): Detection[] {
  let best = 0;
  for (let index = 1; index < classes; index++) if (scoreOf(index) > scoreOf(best)) best = index;
  const score = scoreOf(best);
  return score > least ? [[...box(), score, best]] : [];
}

/** Cells of the grids of strides 8, 16 and 32, which most one-stage detectors predict on. */
export function cellsOf({ height, width }: InputSize): number {
  return STRIDES.reduce((sum, s) => sum + Math.ceil(height / s) * Math.ceil(width / s), 0);
}

export const STRIDES = [8, 16, 32] as const;

/** A box from its centre and size. */
export function fromCentre(
  x: number,
  y: number,
  width: number,
  height: number,
): [left: number, top: number, right: number, bottom: number] {
  return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
}
