// Tables that rows are picked from, as embeddings: the bytes are picked first, and only what was
// picked is multiplied with its scale. With a scale for each row that is picked like the row:
//
//   rows = (Cast(Gather(codes, ids)) - Cast(Gather(zeroPoints, ids))) * Gather(scales, ids)

import type { Value } from '../../graph/index.ts';
import type { Choice } from './dynamic-plan.ts';
import { cast, type DynamicWriter, inType, nameOf, replaceOutputs } from './dynamic-writer.ts';

export function writeTable(writer: DynamicWriter, choice: Choice): void {
  const { node, weights } = choice;
  const [weight] = weights;
  const ids = node.input(1);
  if (!weight || !ids) return;
  const g = writer.builder(choice);
  const { codes, scales, zeroPoints } = writer.weight(choice, weight);
  const axis = node.int('axis', 0);
  const pick = (table: Value, name?: string) =>
    g.op('Gather', [table, ids], { axis }, name ? { name } : {});
  const picked = pick(codes, nameOf(g, node));
  const { dtype } = weight.data;
  if (weight.axis === undefined) {
    const rows = g.op('DequantizeLinear', [picked, scales, zeroPoints]);
    replaceOutputs(choice, [inType(g, rows, dtype)]);
    return;
  }
  const floats = cast(g, picked, 'float32');
  const isSigned = weight.type === 'int8';
  const centred = isSigned ? floats : g.op('Sub', [floats, cast(g, pick(zeroPoints), 'float32')]);
  const rows = g.op('Mul', [centred, pick(scales)]);
  replaceOutputs(choice, [inType(g, rows, dtype)]);
}
