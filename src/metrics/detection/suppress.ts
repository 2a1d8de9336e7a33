// Non-maximum suppression: of detections of one class that overlap, the one of highest score stays.

import { iou } from '../boxes.ts';
import type { Detection } from './output.ts';

/** By falling score; a detection goes that overlaps a better one of its class by more than `threshold`. */
export function suppress(detections: readonly Detection[], threshold: number): Detection[] {
  const sorted = [...detections].sort((a, b) => b[4] - a[4]);
  const kept = new Map<number, Detection[]>();
  return sorted.filter((detection) => {
    const others = kept.get(detection[5]) ?? [];
    if (others.some((other) => iou(other, detection) > threshold)) return false;
    kept.set(detection[5], [...others, detection]);
    return true;
  });
}
