// How far the outputs of a quantised model are from those of the float model on the calibration data:
// the length of the difference by the length of the float output, averaged over the outputs.

import { Builder, type Model, tensorType } from '../../../graph/index.ts';
import { isFloat } from '../../../tensor/dtype.ts';
import type { Calibration } from '../context.ts';
import { sideBySide } from './side-by-side.ts';

/** Undefined where nothing can be compared. */
export async function outputError(
  quantized: Model,
  float: Model,
  calibration: Calibration,
  limit: number,
): Promise<number | undefined> {
  const both = sideBySide(quantized, float);
  if (typeof both === 'string') return undefined;
  const g = new Builder(both.model.graph);
  const names: [string, string][] = [];
  for (const { name, dtype } of quantized.graph.outputs) {
    const [actual, expected] = [both.quantized(name), both.float(name)];
    if (!actual || !expected || !dtype || !isFloat(dtype)) continue;
    const sums = [g.op('Sub', [actual, expected]), expected].map((value) => {
      const wide = g.op('Cast', [value], { to: 1 });
      const sum = g.op('ReduceSumSquare', [wide], { keepdims: 0 });
      sum.type = tensorType('float32', []);
      return sum.name;
    });
    names.push(sums as [string, string]);
  }
  if (names.length === 0) return undefined;
  const sums = new Map<string, number>();
  await calibration.observe(
    both.finish(),
    names.flat(),
    (name, tensor) => {
      sums.set(name, (sums.get(name) ?? 0) + Number(tensor.values()[0]));
    },
    limit,
  );
  const errors = names.map(([e, l]) => Math.sqrt((sums.get(e) ?? 0) / (sums.get(l) || 1)));
  return errors.reduce((a, b) => a + b, 0) / errors.length;
}
