// Depth without data: which residual blocks make a layer together, and which layers of many stay where
// a student takes some of its teacher's, evenly spaced (Sanh et al. 2019, DistilBERT).

import type { Block } from './layer.ts';

const ATTENTION = new Set(['Softmax', 'Attention', 'MultiHeadAttention', 'GroupQueryAttention']);

/** Blocks of a transformer go by layers, attention and the feed-forward behind it; others alone. */
export function layersOf(blocks: readonly Block[]): Block[][] {
  const layers: Block[][] = [];
  let open: Block[] = [];
  const close = () => {
    layers.push(...open.map((block) => [block]));
    open = [];
  };
  for (const block of blocks) {
    if (open.length > 0 && block.skip !== open.at(-1)?.end) close();
    if ([...block.branch].some(({ op }) => ATTENTION.has(op))) open.push(block);
    else {
      layers.push([...open, block]);
      open = [];
    }
  }
  close();
  return layers;
}

/** Positions of `kept` of `count`, evenly spaced, the first and the last among them. */
export function evenly(count: number, kept: number): number[] {
  if (kept >= count) return Array.from({ length: count }, (_, i) => i);
  if (kept === 1) return [0];
  return Array.from({ length: kept }, (_, i) => Math.round((i * (count - 1)) / (kept - 1)));
}
