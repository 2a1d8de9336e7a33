// Two constants one after the other are one: (x * a) * b = x * (a b), (x + a) + b = x + (a + b), and
// the same with Div and Sub.

import type { Node, Value } from '../../graph/index.ts';
import { combine } from '../../tensor/broadcast.ts';
import { isCalculable } from '../../tensor/scale.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { constant, fuse, onlyReader, operands } from '../match.ts';
import { rewrite } from '../pass.ts';

/** The operator that undoes another, so that x op c = x inverse (1/c or -c). */
const FAMILIES = [
  { plain: 'Mul', inverse: 'Div' },
  { plain: 'Add', inverse: 'Sub' },
] as const;

export default rewrite({
  name: 'fuse-constants',
  summary: 'Makes one Mul or Add of several by constants',
  on: ['Mul', 'Div', 'Add', 'Sub'],
  apply(node, context) {
    const outer = withConstant(node);
    const inner = outer?.x.producer && withConstant(outer.x.producer);
    if (!outer || !inner || onlyReader(outer.x) !== node || inner.node.domain !== '')
      return undefined;
    const family = FAMILIES.find(({ plain, inverse }) =>
      [node, inner.node].every(({ op }) => op === plain || op === inverse),
    );
    if (!family) return undefined;
    const { plain, inverse } = family;
    const join =
      plain === 'Mul' ? (a: number, b: number) => a * b : (a: number, b: number) => a + b;
    const undo =
      plain === 'Mul' ? (a: number, b: number) => a / b : (a: number, b: number) => a - b;
    const isInverse = inner.node.op === inverse;
    const isMixed = node.op !== inner.node.op;
    // x / a * b = x * (b / a), x * a / b = x * (a / b).
    const [first, second] = isMixed && isInverse ? [outer, inner] : [inner, outer];
    const data = combine(first.data, second.data, isMixed ? undo : join);
    if (!data || data.size > Math.max(first.data.size, second.data.size)) return undefined;
    const op = isMixed || !isInverse ? plain : inverse;
    const { g } = context;
    const by = g.op(op, [inner.x, g.constant(`${node.name || op}.constant`, data)]);
    return fuse(context, [node, inner.node], node.output, by);
  },
});

interface WithConstant {
  readonly node: Node;
  readonly x: Value;
  readonly data: Tensor;
}

/** Elements of a constant that is worth calculating with at once. */
const MAX_SIZE = 1 << 20;

function withConstant(node: Node): WithConstant | undefined {
  const commutes = node.op === 'Mul' || node.op === 'Add';
  for (const [x, c] of commutes ? operands(node) : operands(node).slice(0, 1)) {
    const data = constant(c);
    if (!data || constant(x) || data.size > MAX_SIZE || !isCalculable(data.dtype)) continue;
    return { node, x, data };
  }
  return undefined;
}
