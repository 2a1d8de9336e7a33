// Convolutions as products: the patch of inputs that each place of the result is a weighted sum of.
// Patches are put together from strided slices, one for each position in the kernel; sizes are worked
// out in the graph, as inputs may be of any size.

import type { Builder, Node, Value } from '../../../graph/index.ts';
import type { Product } from './products.ts';

const WINDOW = ['pads', 'strides', 'dilations', 'auto_pad'] as const;

/** What says where a convolution reads, as text. */
export function windowKey(node: Node): string {
  const known = WINDOW.map((name) =>
    name === 'auto_pad' ? node.string(name, 'NOTSET') : node.ints(name),
  );
  return JSON.stringify(known);
}

/** X [rows, groups · width]: what outputs are weighted sums of; opset 13. */
export function patches(g: Builder, { node, width, groups, data }: Product, x: Value): Value {
  const flat = (value: Value) => g.op('Reshape', [value, g.ints([-1, groups * width])]);
  if (node.op !== 'Conv') return flat(x);
  const kernel = data.shape.slice(2);
  const ones = kernel.map(() => 1);
  const strides = node.ints('strides') ?? ones;
  const dilations = node.ints('dilations') ?? ones;
  /** Inputs that a kernel spans, less one. */
  const reach = kernel.map((size, i) => (dilations[i] as number) * (size - 1));
  const padded = pad(g, node, x, strides, reach);
  // Of each axis the last place a kernel starts at, and one.
  const free = g.op('Sub', [sizes(g, padded, kernel.length), g.ints(reach.map((r) => r + 1))]);
  const whole = g.op('Mul', [g.op('Div', [free, g.ints(strides)]), g.ints(strides)]);
  const last = g.op('Add', [whole, g.ints(ones)]);
  const axes = g.ints(kernel.map((_, i) => i + 2));
  const slices = positions(kernel).map((position) => {
    const start = g.ints(position.map((at, i) => at * (dilations[i] as number)));
    const end = g.op('Add', [last, start]);
    const slice = g.op('Slice', [padded, start, end, axes, g.ints(strides)]);
    return g.op('Unsqueeze', [slice, g.ints([2])]);
  });
  const all = g.op('Concat', slices, { axis: 2 });
  return flat(g.op('Transpose', [all], { perm: [0, ...kernel.map((_, i) => i + 3), 1, 2] }));
}

/** The spatial sizes. */
function sizes(g: Builder, x: Value, count: number): Value {
  return g.op('Slice', [g.op('Shape', [x]), g.ints([2]), g.ints([2 + count])]);
}

/** Places in a kernel, the last axis fastest. */
function positions(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (all, size) => all.flatMap((one) => Array.from({ length: size }, (_, i) => [...one, i])),
    [[]],
  );
}

/** With zeros around it, as the attributes have them. */
function pad(
  g: Builder,
  node: Node,
  x: Value,
  strides: readonly number[],
  reach: readonly number[],
): Value {
  const none = [0, 0];
  const how = node.string('auto_pad', 'NOTSET');
  const count = reach.length;
  if (how === 'VALID') return x;
  if (how === 'NOTSET') {
    const pads = node.ints('pads') ?? [];
    if (pads.every((size) => size === 0)) return x;
    const all = [...none, ...pads.slice(0, count), ...none, ...pads.slice(count)];
    return g.op('Pad', [x, g.ints(all)]);
  }
  // SAME: as many results as strides begin within the input; the rest is shared out.
  const size = sizes(g, x, count);
  const before = g.op('Sub', [size, g.ints(reach.map(() => 1))]);
  const begun = g.op('Mul', [g.op('Div', [before, g.ints(strides)]), g.ints(strides)]);
  const wanted = g.op('Add', [begun, g.ints(reach.map((r) => r + 1))]);
  const total = g.op('Max', [g.op('Sub', [wanted, size]), g.ints(reach.map(() => 0))]);
  const half = g.op('Div', [total, g.ints(reach.map(() => 2))]);
  const rest = g.op('Sub', [total, half]);
  const [first, second] = how === 'SAME_LOWER' ? [rest, half] : [half, rest];
  return g.op('Pad', [x, g.op('Concat', [g.ints(none), first, g.ints(none), second], { axis: 0 })]);
}
