// A Pad before an operator that pads by itself becomes part of its `pads`: zeros for Conv, zeros
// that are counted for AveragePool, and for MaxPool what never wins: -inf, or 0 where nothing is
// negative.

import type { Node, Value } from '../../graph/index.ts';
import { attr } from '../../graph/index.ts';
import { intsOf, producer, removeDead, scalar } from '../match.ts';
import { type RewriteContext, rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-pad',
  summary: 'Folds Pad into the pads of the Conv, MaxPool or AveragePool after it',
  on: ['Conv', 'MaxPool', 'AveragePool'],
  apply(node, context) {
    const pad = producer(node.input(0), 'Pad');
    const x = pad?.input(0);
    if (!pad || !x || pad.graph !== node.graph) return undefined;
    const reason = refuse(node, pad, x, context);
    if (typeof reason === 'string') return skip(reason);
    node.setAttr('pads', attr.ints(reason));
    node.setAttr('auto_pad', undefined);
    if (node.op === 'AveragePool') node.setAttr('count_include_pad', attr.int(1));
    node.setInput(0, x);
    removeDead(context.graph, [pad]);
    return true;
  },
});

/** The pads of both together, or why they cannot be one. */
function refuse(node: Node, pad: Node, x: Value, context: RewriteContext): string | number[] {
  if (pad.string('mode', 'constant') !== 'constant') return 'it does not pad with a constant';
  const padding = paddingOf(pad, x);
  if (!padding) return 'the sizes of the padding are not constant';
  const value = fillOf(pad);
  if (value === undefined) return 'the value it pads with is not constant';
  const rank = padding.length / 2;
  const own = ownPads(node, rank - 2);
  if (!own) return `${node.describe()} pads by auto_pad`;
  const outer = [0, 1, rank, rank + 1];
  if (outer.some((i) => padding[i] !== 0)) return 'it pads batch or channels';
  if (padding.some((p) => p < 0)) return 'it crops';
  const spatial = [...padding.slice(2, rank), ...padding.slice(rank + 2)];
  if (node.op === 'Conv') {
    if (value !== 0) return 'it does not pad with zeros';
  } else {
    const reason = refusePool(node, own, value, x, context.opset);
    if (reason) return reason;
    const kernel = node.ints('kernel_shape') ?? [];
    const sum = spatial.map((p, i) => p + (own[i] ?? 0));
    // A window of padding alone has no maximum, and onnxruntime refuses such pads.
    if (sum.some((p, i) => p >= (kernel[i % (rank - 2)] ?? 0))) return 'it pads by a whole window';
  }
  return spatial.map((p, i) => p + (own[i] ?? 0));
}

function refusePool(
  node: Node,
  own: readonly number[],
  value: number,
  x: Value,
  opset: number,
): string | undefined {
  if (node.int('ceil_mode', 0)) return `${node.describe()} rounds its output size up`;
  if (node.outputs.length > 1) return `${node.describe()} returns indices`;
  if (node.op === 'MaxPool') {
    if ((node.ints('dilations') ?? []).some((d) => d !== 1)) return `${node.describe()} is dilated`;
    const never = value <= -3.4e38 || (value === 0 && isNonNegative(x));
    return never ? undefined : `${value} could be the maximum`;
  }
  if (value !== 0) return 'it does not pad with zeros';
  if (opset < 7) return 'count_include_pad needs opset 7';
  const counted = node.int('count_include_pad', 0) === 1;
  if (!counted && own.some((p) => p !== 0)) return `${node.describe()} does not count its own pads`;
  return undefined;
}

/** Whether no element can be below zero. */
function isNonNegative(x: Value): boolean {
  if (producer(x, 'Relu', 'Sigmoid', 'Softmax', 'HardSigmoid', 'Abs', 'Exp')) return true;
  const clip = producer(x, 'Clip');
  const low = clip?.float('min') ?? scalar(clip?.input(1));
  return low !== undefined && low >= 0;
}

/** Begins, then ends, of all axes. */
function paddingOf(pad: Node, x: Value): readonly number[] | undefined {
  const given = pad.ints('paddings') ?? intsOf(pad, 'pads', 1);
  if (!given) return undefined;
  if (!pad.input(3)) return given;
  const axes = intsOf(pad, 'axes', 3);
  const rank = x.shape?.length;
  if (!axes || rank === undefined) return undefined;
  const all = new Array<number>(2 * rank).fill(0);
  axes.forEach((axis, i) => {
    const at = axis < 0 ? axis + rank : axis;
    all[at] = given[i] ?? 0;
    all[at + rank] = given[i + axes.length] ?? 0;
  });
  return all;
}

function fillOf(pad: Node): number | undefined {
  if (pad.input(2)) return scalar(pad.input(2));
  return pad.float('value', 0);
}

function ownPads(node: Node, spatialRank: number): readonly number[] | undefined {
  const auto = node.string('auto_pad', 'NOTSET');
  const none = new Array<number>(2 * spatialRank).fill(0);
  if (auto === 'VALID') return none;
  return auto === 'NOTSET' ? (node.ints('pads') ?? none) : undefined;
}
