// A cast to a type that holds every value loses nothing, so the cast after it can start from the
// beginning. (Back to the type it came from, it is then dropped as an identity.)

import { type DType, dtypeInfo } from '../../tensor/dtype.ts';
import { producer, removeDead } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'merge-casts',
  summary: 'Makes one Cast of two where the first one loses nothing',
  on: 'Cast',
  apply(node, { graph }) {
    const inner = producer(node.input(0), 'Cast');
    const source = inner?.input(0);
    const [narrow, wide] = [source?.dtype, inner?.output.dtype];
    if (!inner || !source || !narrow || !wide || narrow === wide) return undefined;
    if (!holds(wide, narrow) || node.output.dtype === 'string') return undefined;
    node.setInput(0, source);
    if (inner.graph === graph) removeDead(graph, [inner]);
    return true;
  },
});

/** Bits of the mantissa, the hidden one included; how far whole numbers are exact. */
const MANTISSA: Partial<Record<DType, number>> = { float64: 53, float32: 24, float16: 11 };

/** Whether every value of `narrow` is a value of `wide`. */
function holds(wide: DType, narrow: DType): boolean {
  const [w, n] = [dtypeInfo(wide), dtypeInfo(narrow)];
  if (w.kind === 'string' || w.kind === 'complex' || w.kind === 'bool') return false;
  if (n.kind === 'bool') return w.bits >= 8;
  if (n.kind === 'float') return w.kind === 'float' && w.bits >= 32 && n.bits < w.bits;
  if (n.kind !== 'int' && n.kind !== 'uint') return false;
  if (w.kind === 'float') return n.bits <= (MANTISSA[wide] ?? 0);
  if (w.kind === n.kind) return n.bits <= w.bits;
  return w.kind === 'int' && n.bits < w.bits;
}
