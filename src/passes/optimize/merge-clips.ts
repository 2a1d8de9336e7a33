// Clip and Relu one after the other: clip(clip(x, a, b), c, d) = clip(x, clip(a, c, d), clip(b, c, d)).
// Relu is clip(x, 0, inf).

import { attr, type Node } from '../../graph/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { clipBounds, fuse, isFloatValue, onlyUse, producer } from '../match.ts';
import { type RewriteContext, rewrite } from '../pass.ts';

interface Bounds {
  readonly min: number;
  readonly max: number;
}

export default rewrite({
  name: 'merge-clips',
  summary: 'Makes one of Clip and Relu in a row',
  on: ['Clip', 'Relu'],
  apply(node, context) {
    const inner = producer(node.input(0), 'Clip', 'Relu');
    const x = inner?.input(0);
    const [first, second] = [inner && boundsOf(inner), boundsOf(node)];
    if (!inner || !x || !first || !second || !isFloatValue(x)) return undefined;
    const both = { min: clamp(first.min, second), max: clamp(first.max, second) };
    if (both.min === first.min && both.max === first.max) {
      return fuse(context, [node], node.output, inner.output);
    }
    if (!onlyUse(inner.output) || inner.graph !== context.graph || context.opset < 6) return false;
    // A Relu that the Clip before or after it says, too.
    if (inner.op === 'Relu' && both.min === second.min && both.max === second.max) {
      node.setInput(0, x);
      context.graph.remove(inner);
      return true;
    }
    return replace(node, inner, both, context);
  },
});

function boundsOf(node: Node): Bounds | undefined {
  if (node.op === 'Relu') return { min: 0, max: Number.POSITIVE_INFINITY };
  const bounds = clipBounds(node);
  return bounds && bounds.min <= bounds.max ? bounds : undefined;
}

function clamp(value: number, { min, max }: Bounds): number {
  return Math.min(Math.max(value, min), max);
}

function replace(node: Node, inner: Node, { min, max }: Bounds, context: RewriteContext): boolean {
  const { g, opset } = context;
  const x = inner.input(0);
  const dtype = x?.dtype;
  if (!x || !dtype || !isFloat(dtype)) return false;
  const isOpen = (bound: number) => !Number.isFinite(bound);
  if (opset < 11) {
    const attrs = {
      min: isOpen(min) ? undefined : attr.float(min),
      max: isOpen(max) ? undefined : attr.float(max),
    };
    return fuse(context, [node, inner], node.output, g.op('Clip', [x], attrs));
  }
  const bound = (name: string, value: number) =>
    isOpen(value)
      ? undefined
      : g.constant(`${node.output.name}_${name}`, floatTensor(dtype, [], Float64Array.of(value)));
  const inputs = isOpen(max) ? [x, bound('min', min)] : [x, bound('min', min), bound('max', max)];
  return fuse(context, [node, inner], node.output, g.op('Clip', inputs));
}
