// Boxes [left, top, right, bottom]: areas and what two have in common.

export type Box = ArrayLike<number>;

export function areaOf(box: Box): number {
  return ((box[2] as number) - (box[0] as number)) * ((box[3] as number) - (box[1] as number));
}

/** The area that both cover. */
export function intersection(a: Box, b: Box): number {
  const width = Math.min(a[2] as number, b[2] as number) - Math.max(a[0] as number, b[0] as number);
  const height =
    Math.min(a[3] as number, b[3] as number) - Math.max(a[1] as number, b[1] as number);
  return width > 0 && height > 0 ? width * height : 0;
}

/** Intersection over union. */
export function iou(a: Box, b: Box): number {
  const both = intersection(a, b);
  return both === 0 ? 0 : both / (areaOf(a) + areaOf(b) - both);
}
