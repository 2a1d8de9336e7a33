// Kernel shapes: rows and columns at the edges of convolution kernels that weigh least are cut off, and
// the padding with them, so that 3×3 becomes 3×2, 3×1, 1×3 … The result is that of the kernel with
// zeros in their place.

import type { Model, Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Pattern } from '../select.ts';

export interface Kernel {
  readonly node: Node;
  readonly weight: Value;
  /** Positions left on each axis: [from, to). */
  readonly kept: [number, number][];
  readonly before: readonly number[];
}

export interface SpatialOptions {
  /** Share of all kernel elements that goes. */
  readonly amount: number;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
}

export interface SpatialResult {
  readonly kernels: readonly Kernel[];
  readonly left: readonly { readonly node: Node; readonly reason: string }[];
}

/** Edits the model in place. */
export function cropKernels(model: Model, options: SpatialOptions): SpatialResult {
  const left: { node: Node; reason: string }[] = [];
  const kernels: Kernel[] = [];
  for (const node of model.graph.nodes) {
    if (node.op !== 'Conv' || node.domain !== '') continue;
    const found = readKernel(node, options);
    if (typeof found === 'string') left.push({ node, reason: found });
    else kernels.push(found);
  }
  const total = kernels.reduce((sum, { weight }) => sum + (weight.data?.size ?? 0), 0);
  let going = Math.floor(options.amount * total);
  const energies = new Map(kernels.map((kernel) => [kernel, energyOf(kernel)]));
  for (;;) {
    const edge = leastEdge(kernels, energies, going);
    if (!edge) break;
    const range = edge.kernel.kept[edge.axis] as [number, number];
    if (edge.atStart) range[0] += 1;
    else range[1] -= 1;
    going -= edge.elements;
  }
  for (const kernel of kernels) crop(model, kernel);
  return { kernels, left };
}

function readKernel(node: Node, { skip, only }: SpatialOptions): Kernel | string {
  const found = skip.find((pattern) => pattern.matches(node));
  if (found) return `--skip ${found.text}`;
  if (only.length > 0 && !only.some((pattern) => pattern.matches(node)))
    return 'not named by --only';
  const weight = node.input(1);
  const data = weight && constantData(weight);
  if (!weight?.data || data?.dtype !== 'float32') return 'its weight is no float32 initializer';
  if (weight.uses.length > 1) return 'its weight is shared';
  if (node.string('auto_pad', 'NOTSET') !== 'NOTSET') return 'its padding is not written out';
  const before = data.shape.slice(2);
  if (before.every((size) => size === 1)) return 'its kernel has one position';
  return { node, weight, before, kept: before.map((size) => [0, size]) };
}

/** Σ w² over all channels, by position. */
function energyOf({ weight, before }: Kernel): Float64Array {
  const places = before.reduce((a, b) => a * b, 1);
  const energy = new Float64Array(places);
  const values = weight.data?.values() as Float32Array;
  for (let i = 0; i < values.length; i++) {
    const place = i % places;
    energy[place] = (energy[place] as number) + (values[i] as number) ** 2;
  }
  return energy;
}

interface Edge {
  readonly kernel: Kernel;
  readonly axis: number;
  readonly atStart: boolean;
  readonly elements: number;
  readonly score: number;
}

/** The edge with the least mean of w², against that of its layer. */
function leastEdge(
  kernels: readonly Kernel[],
  energies: ReadonlyMap<Kernel, Float64Array>,
  room: number,
): Edge | undefined {
  let best: Edge | undefined;
  for (const kernel of kernels) {
    const energy = energies.get(kernel) as Float64Array;
    for (let axis = 0; axis < kernel.kept.length; axis++) {
      for (const atStart of [true, false]) {
        const edge = edgeOf(kernel, energy, axis, atStart);
        if (edge && edge.elements <= room && (!best || edge.score < best.score)) best = edge;
      }
    }
  }
  return best;
}

function edgeOf(
  kernel: Kernel,
  energy: Float64Array,
  axis: number,
  atStart: boolean,
): Edge | undefined {
  const [from, to] = kernel.kept[axis] as [number, number];
  if (to - from < 2 || !canCut(kernel, axis, atStart)) return undefined;
  const at = atStart ? from : to - 1;
  const edge = kernel.kept.map((range, i) => (i === axis ? ([at, at + 1] as const) : range));
  const [all, own] = [sumOver(energy, kernel, kernel.kept), sumOver(energy, kernel, edge)];
  const channels = (kernel.weight.data?.size ?? 0) / energy.length;
  const score = own.sum / own.count / (all.sum / all.count || 1);
  return { kernel, axis, atStart, elements: own.count * channels, score };
}

/** The padding has to have room: it shrinks with the kernel. */
function canCut({ node, kept, before }: Kernel, axis: number, atStart: boolean): boolean {
  const pads = node.ints('pads') ?? new Array<number>(2 * before.length).fill(0);
  const dilation = node.ints('dilations')?.[axis] ?? 1;
  const [from, to] = kept[axis] as [number, number];
  const cut = atStart ? from + 1 : (before[axis] as number) - to + 1;
  return (pads[atStart ? axis : axis + before.length] as number) >= cut * dilation;
}

function sumOver(
  energy: Float64Array,
  { before }: Kernel,
  ranges: readonly (readonly [number, number])[],
): { sum: number; count: number } {
  let [sum, count] = [0, 0];
  energy.forEach((value, place) => {
    if (!isInside(place, before, ranges)) return;
    sum += value;
    count += 1;
  });
  return { sum, count };
}

function isInside(
  place: number,
  before: readonly number[],
  ranges: readonly (readonly [number, number])[],
): boolean {
  let rest = place;
  for (let axis = before.length - 1; axis >= 0; axis--) {
    const size = before[axis] as number;
    const [from, to] = ranges[axis] as readonly [number, number];
    const at = rest % size;
    if (at < from || at >= to) return false;
    rest = Math.floor(rest / size);
  }
  return true;
}

function crop(model: Model, { node, weight, before, kept }: Kernel): void {
  const after = kept.map(([from, to]) => to - from);
  if (after.every((size, axis) => size === before[axis])) return;
  const data = weight.data as Tensor;
  const places = before.reduce((a, b) => a * b, 1);
  const inside = Array.from({ length: places }, (_, place) => isInside(place, before, kept));
  const values = (data.values() as Float32Array).filter((_, i) => inside[i % places]);
  const shape = [...data.shape.slice(0, 2), ...after];
  model.graph.setData(weight, Tensor.of('float32', shape, values));
  const rank = before.length;
  const pads = [...(node.ints('pads') ?? new Array<number>(2 * rank).fill(0))];
  kept.forEach(([from, to], axis) => {
    const dilation = node.ints('dilations')?.[axis] ?? 1;
    pads[axis] = (pads[axis] as number) - from * dilation;
    pads[axis + rank] = (pads[axis + rank] as number) - ((before[axis] as number) - to) * dilation;
  });
  node.setAttr('pads', { type: 'ints', value: pads });
  if (node.ints('kernel_shape')) node.setAttr('kernel_shape', { type: 'ints', value: after });
}
