// Mixed precision (Micikevicius et al. 2018): products and convolutions read their inputs in half
// precision, everything else (recurrent operators, too) and the weights themselves stay float32. Loss
// scaling keeps small gradients of float16 from vanishing: the scale halves when a gradient overflows
// and doubles after many steps without.

import { Builder, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import type { Formula } from './formula.ts';
import type { StateWriter } from './state.ts';

export type HalfType = 'float16' | 'bfloat16';

const PRODUCTS = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose', 'Einsum']);
const CODES = { float32: 1, float16: 10, bfloat16: 16 } as const;

export const FIRST_SCALE = 65536;
const PATIENCE = 2000;

/**
 * Casts what products read. With `inPlace` the products themselves are half; without, their inputs are
 * rounded to half precision and products are computed in float32, which is what half-precision units
 * do inside, on machines that have none.
 */
export function useHalf(model: Model, half: HalfType, inPlace: boolean): void {
  for (const node of [...model.graph.nodes]) {
    if (!PRODUCTS.has(node.op) || node.domain !== '') continue;
    const g = new Builder(model.graph, node, (made) => inferNode(model, made));
    const cast = (value: Value, to: keyof typeof CODES) => g.op('Cast', [value], { to: CODES[to] });
    node.inputs.forEach((input, i) => {
      if (input?.dtype !== 'float32') return;
      const rounded = cast(input, half);
      node.setInput(i, inPlace ? rounded : cast(rounded, 'float32'));
    });
    if (inPlace) widen(model, node.outputs[0] as Value);
  }
}

/** Gives the readers of a half-precision result float32 again. */
function widen(model: Model, output: Value): void {
  const made = output.producer;
  if (!made) return;
  const readers = [...output.uses];
  inferNode(model, made);
  const following = readers.map(({ node }) => node);
  const at = [...model.graph.nodes].find((node) => following.includes(node));
  const g = new Builder(model.graph, at, (node) => inferNode(model, node));
  const wide = g.op('Cast', [output], { to: CODES.float32 });
  for (const { node, index } of readers) node.setInput(index, wide);
  const place = model.graph.outputs.indexOf(output);
  if (place >= 0) model.graph.outputs[place] = wide;
}

export interface LossScale {
  readonly scale: Value;
  /** Writes what becomes of the scale. */
  update(isSound: Value): void;
}

export function lossScale(f: Formula, state: StateWriter): LossScale {
  const scale = state.scalar('loss_scale', 'float32', FIRST_SCALE);
  const good = state.scalar('good_steps', 'float32', 0);
  return {
    scale: scale.input,
    update(isSound) {
      const more = f.add(good.input, 1);
      const isLong = f.greater(more, PATIENCE - 0.5);
      const up = f.where(isLong, f.mul(scale.input, 2), scale.input);
      const down = f.max(f.mul(scale.input, 0.5), 1);
      scale.output = f.where(isSound, up, down);
      const counted = f.where(isLong, f.number(0, 'float32'), more);
      good.output = f.where(isSound, counted, f.number(0, 'float32'));
    },
  };
}
