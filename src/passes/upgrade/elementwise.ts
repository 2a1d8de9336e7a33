// Elementwise operators. Before opset 7 they broadcast only when told to, with `axis` saying where
// the shape of B lies within that of A; since then by NumPy's rule. ONNX, "Broadcasting in ONNX".

import { attr, type Node } from '../../graph/index.ts';
import { skip } from '../pass.ts';
import type { Adapter, Adapters, UpgradeContext } from './adapter.ts';
import { inTurn, keepDefault } from './attributes.ts';

/** Gives B axes of size 1 behind its own, so that NumPy's rule aligns it as `axis` did. */
function broadcastByNumpy(node: Node, c: UpgradeContext) {
  const isTold = node.attrs.has('broadcast') || node.attrs.has('axis');
  const axis = node.int('broadcast', 0) === 0 ? undefined : node.int('axis');
  const [a, b] = node.inputs;
  // Without an axis B stands at the end of A, as by NumPy's rule.
  if (axis !== undefined && b) {
    const [rankA, rankB] = [a?.shape?.length, b.shape?.length];
    if (rankA === undefined || rankB === undefined) {
      return skip('the ranks of what it broadcasts are not known');
    }
    const first = axis < 0 ? axis + rankA : axis;
    const behind = rankA - first - rankB;
    if (behind < 0) return skip(`axis ${axis} puts B beyond the end of A`);
    const isOne = b.shape?.every((dim) => dim === 1);
    if (behind > 0 && !isOne) {
      const axes = Array.from({ length: behind }, (_, i) => rankB + i);
      node.setInput(1, c.unsqueezed(b, axes));
    }
  }
  node.setAttr('broadcast', undefined);
  node.setAttr('axis', undefined);
  return isTold;
}

/** One slope per channel has to be spread over the axes behind it. */
function alignSlope(node: Node, c: UpgradeContext) {
  const [x, slope] = node.inputs;
  if (!slope) return false;
  if (!slope.shape) return skip('the shape of the slope is not known');
  if (slope.shape.length !== 1 || slope.shape[0] === 1) return false;
  if (!x?.shape) return skip('the rank of its input is not known');
  if (x.shape.length <= 2) return false;
  const axes = Array.from({ length: x.shape.length - 2 }, (_, i) => i + 1);
  node.setInput(1, c.unsqueezed(slope, axes));
  return true;
}

/** Bounds become inputs of the type of the data. */
function boundsToInputs(node: Node, c: UpgradeContext) {
  const bounds = [node.float('min'), node.float('max')];
  if (bounds.every((bound) => bound === undefined)) return false;
  const dtype = node.input(0)?.dtype;
  if (!dtype) return skip('the type of its input is not known');
  bounds.forEach((bound, i) => {
    if (bound !== undefined) node.setInput(i + 1, c.float(dtype, bound));
  });
  node.setAttr('min', undefined);
  node.setAttr('max', undefined);
  return true;
}

/** TensorProto.DataType was given by name. */
const TYPES = [
  'UNDEFINED',
  'FLOAT',
  'UINT8',
  'INT8',
  'UINT16',
  'INT16',
  'INT32',
  'INT64',
  'STRING',
  'BOOL',
  'FLOAT16',
  'DOUBLE',
  'UINT32',
  'UINT64',
  'COMPLEX64',
  'COMPLEX128',
];

function castByNumber(node: Node) {
  const to = node.string('to');
  if (to === undefined) return false;
  const code = TYPES.indexOf(to.toUpperCase());
  if (code < 1) return skip(`it casts to "${to}", which is no type`);
  node.setAttr('to', attr.int(code));
  return true;
}

const BROADCASTING = [
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'And',
  'Or',
  'Xor',
  'Equal',
  'Greater',
  'Less',
];

const broadcasting: Adapter = broadcastByNumpy;

export const elementwise: Adapters = {
  ...Object.fromEntries(BROADCASTING.map((op) => [op, { 7: broadcasting }])),
  PRelu: { 7: alignSlope },
  Clip: { 11: boundsToInputs },
  Cast: { 6: castByNumber },
  Selu: {
    // The constants were given more digits.
    6: inTurn(keepDefault('alpha', attr.float(1.6732)), keepDefault('gamma', attr.float(1.0507))),
  },
};
