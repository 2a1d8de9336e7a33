// Softmax, LogSoftmax and Hardmax. Before opset 13 they took the input as a matrix, with everything
// from `axis` (1 where not said) on as one row; since then they work along one axis (the last).

import { attr, type Node, type Shape } from '../../graph/index.ts';
import type { Adapter, Adapters, UpgradeContext } from './adapter.ts';

function alongOneAxis(node: Node, c: UpgradeContext) {
  const axis = node.int('axis', 1);
  const { shape } = node.input(0) ?? {};
  const single = singleAxis(axis, shape);
  if (single !== undefined) {
    node.setAttr('axis', attr.int(single));
    return single !== axis || axis !== node.int('axis', 1);
  }
  const matrix = c.g.op('Flatten', [node.input(0)], { axis });
  const rows = c.g.op(node.op, [matrix], { axis: -1 });
  return c.replace(node, c.g.op('Reshape', [rows, shapeOf(node, c)]));
}

/** The axis that a row consists of, where it is only one: last, or between axes of size 1. */
function singleAxis(axis: number, shape: Shape | undefined): number | undefined {
  if (axis === -1) return -1;
  if (!shape || shape.length === 0) return undefined;
  const first = axis < 0 ? axis + shape.length : axis;
  if (first === shape.length - 1) return -1;
  const long = shape.map((_, i) => i).filter((i) => i >= first && shape[i] !== 1);
  return long.length <= 1 ? (long[0] ?? -1) : undefined;
}

/** The shape of the input: a constant where at most one size is open, else taken at run time. */
function shapeOf(node: Node, c: UpgradeContext) {
  const { shape } = node.input(0) ?? {};
  const sizes = shape?.map((dim) => (typeof dim === 'number' ? dim : -1));
  const isPlain = sizes && !sizes.includes(0) && sizes.filter((size) => size < 0).length <= 1;
  return isPlain ? c.ints(...sizes) : c.g.op('Shape', [node.input(0)]);
}

const adapter: Adapter = alongOneAxis;

export const softmax: Adapters = {
  Softmax: { 13: adapter },
  LogSoftmax: { 13: adapter },
  Hardmax: { 13: adapter },
};
