// Multi-head attention in one operator: `Attention` of opset 23, or com.microsoft's
// MultiHeadAttention at level extended. Both want the scores' mask with its last two sizes in full.

import { attr, type Dim, type Node, sameDim, type Value } from '../../graph/index.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { type Attention, attentionAt, type Heads } from '../attention.ts';
import { fuse, isOutput, removeDead } from '../match.ts';
import { importDomain, type RewriteContext, rewrite, type Skip, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-attention',
  summary:
    'Makes one Attention of its products, scale, mask and Softmax; com.microsoft at extended',
  on: 'MatMul',
  apply(node, context) {
    const found = attentionAt(node);
    if (found === undefined) return undefined;
    if (typeof found === 'string') return skip(found);
    const isStandard = context.opset >= 23;
    if (!isStandard && context.level !== 'extended') {
      return skip('Attention needs opset 23; --opset 23 or --level extended allows it');
    }
    const mask = maskPlan(found);
    if (mask === undefined) return skip('the shape of the mask is not known');
    const isFlat = isFlatEnough(found, isStandard);
    if (cost(found, isFlat, mask) > saved(found)) return skip('it would take more nodes than now');
    return write(found, isFlat, isStandard, mask, context);
  },
});

/** Nodes that a mask takes: none, one, or those that read the sequence length at run time. */
interface MaskPlan {
  readonly nodes: number;
  readonly expands: boolean;
  /** Sizes of the last two axes to expand to. */
  readonly rows?: Dim;
  readonly columns?: Dim;
}

function maskPlan({ mask, q, k }: Attention): MaskPlan | undefined {
  if (!mask) return { nodes: 0, expands: false };
  const shape = mask.value.shape;
  const [rows, columns] = [q.shape[2], k.shape[2]];
  if (!shape || rows === undefined || columns === undefined || shape.length > 4) return undefined;
  const made = mask.fill === undefined ? 0 : 1;
  const own = [shape.at(-2) ?? 1, shape.at(-1) ?? 1] as const;
  const isFull = sameDim(own[0], rows) && sameDim(own[1], columns);
  if (isFull && shape.length === 4) return { nodes: made, expands: false };
  const fits = (dim: Dim, size: Dim) => dim === 1 || sameDim(dim, size);
  if (!fits(own[0], rows) || !fits(own[1], columns)) return undefined;
  // Only the rows may be a size known at run time alone.
  if (!sameDim(own[1], columns) && typeof columns !== 'number') return undefined;
  return { nodes: made + (typeof rows === 'number' ? 1 : 4), expands: true, rows, columns };
}

/** Whether the operator is to read and write [B, S, H D]. */
function isFlatEnough({ q, k, v, merge }: Attention, isStandard: boolean): boolean {
  return !isStandard || (merge !== undefined && [q, k, v].every((heads) => heads.flat));
}

function cost({ q, k, v, moved, merge }: Attention, isFlat: boolean, mask: MaskPlan): number {
  if (!isFlat) return 1 + mask.nodes + [q, k, v].filter((h) => !h.first).length;
  const into = [q, k, v].map((h): number => (h.flat ? 0 : h.second ? 1 : 2));
  const out = merge ? 1 : moved ? 1 : 2;
  return 1 + mask.nodes + into.reduce((sum, n) => sum + n, 0) + out;
}

function saved({ q, k, v, matched, moved, merge }: Attention): number {
  const feeders = new Set([...q.feeders, ...k.feeders, ...v.feeders]);
  const dying = [...feeders].filter((n) => n.output.uses.length === 1 && !isOutput(n.output));
  return matched.size + dying.length + (moved ? 1 : 0) + (merge ? 1 : 0);
}

function write(
  found: Attention,
  isFlat: boolean,
  isStandard: boolean,
  plan: MaskPlan,
  context: RewriteContext,
): boolean | Skip {
  const { q, k, v, scale, heads, matched, moved, merge, output } = found;
  const { g, graph, model } = context;
  const last = isFlat ? (merge ?? moved?.producer ?? output.producer) : output.producer;
  g.at = last;
  const mask = maskOf(found, plan, context);
  const inputs = [q, k, v].map((h) => (isFlat ? flatten(h, context) : headsFirst(h, context)));
  const factor = attr.float(scale);
  let by: Value;
  if (isStandard) {
    const counts = isFlat ? { q_num_heads: heads, kv_num_heads: heads } : {};
    by = g.op('Attention', mask ? [...inputs, mask] : inputs, { scale: factor, ...counts });
  } else {
    importDomain(model, graph, 'com.microsoft', 1);
    const all = mask ? [...inputs, undefined, undefined, mask] : inputs;
    const attrs = { num_heads: heads, scale: factor };
    by = g.op('MultiHeadAttention', all, attrs, { domain: 'com.microsoft' });
  }
  const feeders = [...q.feeders, ...k.feeders, ...v.feeders];
  const [old, result, dead] = isFlat ? unflatten(found, by, context) : [output, by, []];
  if (!fuse(context, [...matched, ...dead], old, result)) return false;
  removeDead(graph, feeders);
  return true;
}

/** Puts a flat result in the place of what is there: the value to replace, and by what. */
function unflatten(found: Attention, flat: Value, { g }: RewriteContext): [Value, Value, Node[]] {
  const { v, heads, moved, merge, output, q } = found;
  const move = moved?.producer;
  if (moved && move && merge) {
    const [, shape] = merge.inputs;
    const size = heads * (v.shape[3] as number);
    const to = merge.output.shape;
    const [b, s] = [q.shape[0] as Dim, q.shape[2] as Dim];
    const isSame =
      to?.length === 3 && sameDim(to[0] as Dim, b) && sameDim(to[1] as Dim, s) && to[2] === size;
    return [merge.output, isSame ? flat : g.op('Reshape', [flat, shape]), [merge, move]];
  }
  const sizes = g.constant('heads', Tensor.int64([0, 0, heads, v.shape[3] as number]));
  const second = g.op('Reshape', [flat, sizes]);
  if (moved && move) return [moved, second, [move]];
  return [output, g.op('Transpose', [second], { perm: [0, 2, 1, 3] }), []];
}

function flatten({ flat, first, second, shape }: Heads, { g }: RewriteContext): Value {
  if (flat) return flat;
  const moved = second ?? g.op('Transpose', [first], { perm: [0, 2, 1, 3] });
  const size = (shape[1] as number) * (shape[3] as number);
  return g.op('Reshape', [moved, g.constant('flat', Tensor.int64([0, 0, size]))]);
}

function headsFirst({ first, second }: Heads, { g }: RewriteContext): Value {
  return first ?? g.op('Transpose', [second], { perm: [0, 2, 1, 3] });
}

/** The mask to add, with its last two sizes in full. */
function maskOf(found: Attention, plan: MaskPlan, context: RewriteContext): Value | undefined {
  const { mask, q } = found;
  const { g, opset } = context;
  if (!mask) return undefined;
  let { value } = mask;
  if (mask.fill !== undefined) {
    const dtype = found.output.dtype ?? 'float32';
    const number = (x: number) => g.constant('fill', floatTensor(dtype, [], Float64Array.of(x)));
    const [fill, zero] = [number(mask.fill), number(0)];
    value = g.op('Where', mask.keeps ? [value, zero, fill] : [value, fill, zero]);
  }
  if (!plan.expands) return value;
  const columns = typeof plan.columns === 'number' ? plan.columns : 1;
  const fixed = (sizes: number[]) => g.constant('sizes', Tensor.int64(sizes));
  if (typeof plan.rows === 'number') {
    return g.op('Expand', [value, fixed([1, 1, plan.rows, columns])]);
  }
  // The flat form, where there is one, leaves nothing that only serves to be measured.
  const source = q.flat ?? q.second ?? q.first;
  const axis = source === q.first ? 2 : 1;
  const rows =
    opset >= 15
      ? g.op('Shape', [source], { start: axis, end: axis + 1 })
      : g.op('Gather', [g.op('Shape', [source]), fixed([axis])]);
  const sizes = g.op('Concat', [fixed([1, 1]), rows, fixed([columns])], { axis: 0 });
  return g.op('Expand', [value, sizes]);
}
