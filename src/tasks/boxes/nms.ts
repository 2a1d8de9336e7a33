// Non-maximum suppression: of boxes of a class that overlap, the best stays.

/** A box in pixels of the model's input, by its corners. */
export interface Box {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  readonly score: number;
  readonly label: number;
}

/** Highest scores first; a box goes where one before it, of its class, overlaps by more than `limit`. */
export function suppress(boxes: readonly Box[], limit: number): Box[] {
  const sorted = [...boxes].sort((a, b) => b.score - a.score);
  const kept = new Map<number, Box[]>();
  return sorted.filter((box) => {
    const before = kept.get(box.label) ?? [];
    if (before.some((other) => intersectionOverUnion(box, other) > limit)) return false;
    kept.set(box.label, [...before, box]);
    return true;
  });
}

function intersectionOverUnion(a: Box, b: Box): number {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const area = ({ x1, y1, x2, y2 }: Box) => (x2 - x1) * (y2 - y1);
  const both = width * height;
  return both / (area(a) + area(b) - both);
}
