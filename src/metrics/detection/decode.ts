// From the outputs of a detector to detections: recognise its kind, read, suppress, and map back to the
// original image. Adding a kind is one row in HEADS.

import { headDoesNotFit, unclearHead } from '../../errors/detection.ts';
import { end2end, nms } from './finished-heads.ts';
import { yolov5, yolov8, yolox } from './grid-heads.ts';
import type { Detection, Head, InputSize, Output } from './output.ts';
import { detr, ssd } from './set-heads.ts';
import { suppress } from './suppress.ts';

export const HEADS = { yolox, yolov5, yolov8, ssd, detr, nms, end2end } satisfies Record<
  string,
  Head
>;

export type HeadName = keyof typeof HEADS;

export interface DecodeOptions {
  /** Height and width of the model's input. */
  readonly size: InputSize;
  /** Detections have to score above this; 0.01 unless said, as average precision needs the weak ones. */
  readonly scoreThreshold?: number;
  /** Detections of a class that overlap a better one by more are left out; 0.45 unless said. */
  readonly iouThreshold?: number;
}

/** The one kind that outputs of these names and shapes have; an error that lists the kinds otherwise. */
export function recogniseHead(outputs: readonly Output[], size: InputSize): HeadName {
  const names = Object.keys(HEADS) as HeadName[];
  const fitting = names.filter((name) => HEADS[name].fits(outputs, size));
  const [head] = fitting;
  if (head === undefined || fitting.length > 1) throw unclearHead(outputs, fitting, names);
  return head;
}

/**
 * Detections per image, in pixels of the model's input, by falling score.
 *
 * Throws when the outputs are not those of that kind of detector.
 */
export function decode(
  name: HeadName,
  outputs: readonly Output[],
  { size, scoreThreshold = 0.01, iouThreshold = 0.45 }: DecodeOptions,
): Detection[][] {
  const head: Head = HEADS[name];
  if (!head.fits(outputs, size)) throw headDoesNotFit(name, head.outputs, outputs);
  return Array.from({ length: imagesOf(outputs) }, (_, image) => {
    const found = head.read(outputs, image, size, scoreThreshold);
    if (head.needsSuppression) return suppress(found, iouThreshold);
    return found.sort((a, b) => b[4] - a[4]);
  });
}

/** Outputs of two axes or fewer are about one image (torchvision). */
function imagesOf(outputs: readonly Output[]): number {
  const batched = outputs.find(({ shape }) => shape.length >= 3);
  return batched?.shape[0] ?? 1;
}

/** How an image was put into the model's input. */
export interface Placement {
  /** Pixels of the input per pixel of the image, along x and y. */
  readonly scale: readonly [number, number];
  /** Where the image begins in the input: what was padded at the left and the top. */
  readonly offset: readonly [left: number, top: number];
  /** Of the original image. */
  readonly size: InputSize;
}

/** The detection in pixels of the original image, cut off at its edges. */
export function toOriginal(detection: Detection, { scale, offset, size }: Placement): Detection {
  const [left, top, right, bottom, score, label] = detection;
  const x = (value: number) => clamp((value - offset[0]) / scale[0], size.width);
  const y = (value: number) => clamp((value - offset[1]) / scale[1], size.height);
  return [x(left), y(top), x(right), y(bottom), score, label];
}

function clamp(value: number, most: number): number {
  return Math.min(most, Math.max(0, value));
}
