// A Concat with zeros that are made at run time, on one or both sides, is a Pad.

import { attr, type Node, type Value } from '../../graph/index.ts';
import { knownElements } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { fuse, producer, removeDead } from '../match.ts';
import { type RewriteContext, rewrite } from '../pass.ts';

export default rewrite({
  name: 'convert-concat',
  summary: 'Turns Concat with a block of zeros into Pad',
  on: 'Concat',
  apply(node, context) {
    const parts = node.inputs;
    const whole = parts.filter((part) => !zerosOf(part));
    const [x] = whole;
    const rank = x?.shape?.length;
    if (!x || whole.length !== 1 || parts.length < 2 || rank === undefined) return undefined;
    // Until opset 11 Pad took floats only.
    if (context.opset < 2 || (context.opset < 11 && x.dtype !== 'float32')) return undefined;
    const axis = node.int('axis', 1);
    const at = axis < 0 ? axis + rank : axis;
    const middle = parts.indexOf(x);
    const pads = new Array<number>(2 * rank).fill(0);
    for (const [i, part] of parts.entries()) {
      if (i === middle) continue;
      const side = i < middle ? at : at + rank;
      pads[side] = (pads[side] ?? 0) + (zerosOf(part)?.[at] ?? 0);
    }
    return toPad(node, x, pads, context);
  },
});

function toPad(node: Node, x: Value, pads: number[], context: RewriteContext): boolean {
  const { g, graph, opset } = context;
  const makers = node.inputs.flatMap((part) => producer(part, 'ConstantOfShape') ?? []);
  const options = { name: node.name || undefined };
  const by =
    opset < 11
      ? g.op('Pad', [x], { pads: attr.ints(pads) }, options)
      : g.op('Pad', [x, g.constant('pads', Tensor.int64(pads))], {}, options);
  if (!fuse(context, [node], node.output, by)) return false;
  removeDead(graph, makers);
  return true;
}

/** The sizes of a block of zeros that is made at run time. */
function zerosOf(value: Value | undefined): readonly number[] | undefined {
  const maker = producer(value, 'ConstantOfShape');
  const shape = maker?.input(0);
  const sizes = shape && knownElements(shape);
  const fill = maker?.tensor('value');
  if (!maker || !sizes?.every((size) => typeof size === 'number')) return undefined;
  if (fill?.bytes().some((byte) => byte !== 0)) return undefined;
  return sizes as readonly number[];
}
