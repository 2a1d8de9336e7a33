// The way from one linear operator to the next, along which a positive factor per channel travels
// unchanged: f(s x) = s f(x) for Relu, LeakyRelu and PRelu, for pooling and for moves of elements.

import type { Dim, Node, Value } from '../../../graph/index.ts';
import { elementCount } from '../../../tensor/dtype.ts';
import type { Linear } from '../../linear.ts';
import { LINEAR, perChannel } from '../../linear.ts';
import { clipBounds, constant, onlyReader, operands } from '../../match.ts';
import { type ChannelWeight, channelWeight, isDataInput } from './channel-weight.ts';

/** A constant that is added on the way: it grows with the channels. */
export interface Addend {
  readonly node: Node;
  readonly index: number;
  readonly values: Float64Array;
  readonly shape: readonly number[];
}

export interface ChannelPath {
  readonly to: ChannelWeight;
  readonly addends: readonly Addend[];
  /** Input i of `to` belongs to channel floor(i / inner) % channels. */
  readonly inner: number;
}

interface Place {
  value: Value;
  readonly channels: number;
  axis: number;
  inner: number;
  readonly addends: Addend[];
}

const LINEAR_OPS = new Set<string>(LINEAR);
const UNCHANGED = new Set(['Relu', 'LeakyRelu', 'PRelu', 'Identity', 'Dropout', 'Abs']);
const POOLS = new Set(['MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool']);
const MOVES = new Set(['Flatten', 'Reshape', 'Squeeze']);

/** The linear operator that alone gets what `from` makes; a text says what stands in between. */
export function pathFrom(from: Linear): ChannelPath | string {
  const { channels, axis } = from;
  const place: Place = { value: from.node.output, channels, axis, inner: 1, addends: [] };
  for (;;) {
    const reader = onlyReader(place.value);
    if (!reader) return `"${place.value.name}" is read more than once, or is an output`;
    if (reader.domain === '' && LINEAR_OPS.has(reader.op)) return arrive(place, reader);
    const problem = pass(place, reader);
    if (problem) return problem;
  }
}

function arrive(place: Place, node: Node): ChannelPath | string {
  const { axis, inner, channels, addends, value } = place;
  if (!isDataInput(value, node)) return `${node.describe()} takes it as a weight`;
  const to = channelWeight(node);
  if (typeof to === 'string') return to;
  const isConv = node.op === 'Conv' || node.op === 'ConvTranspose';
  const isAligned = isConv ? axis === 1 && inner === 1 : axis === (value.shape?.length ?? 0) - 1;
  if (!isAligned || to.inputs % (channels * inner) !== 0) {
    return `the channels do not end up as inputs of ${node.describe()}`;
  }
  return { to, addends, inner };
}

/** Steps over a node; a text says why that cannot be. */
function pass(place: Place, node: Node): string | undefined {
  if (node.domain === '' && node.op === 'Clip' && !isRelu(node)) {
    return `${node.describe()} has bounds that all channels share`;
  }
  const isPlain = node.domain === '' && node.outputs.filter(({ name }) => name).length === 1;
  if (!isPlain || !travels(place, node)) return `${node.describe()} stands in between`;
  place.value = node.output;
  return undefined;
}

/** Whether factors per channel come through a node; the place is told where they come out. */
function travels(place: Place, node: Node): boolean {
  const { op } = node;
  if (op === 'Add' || op === 'Mul') return passConstant(place, node);
  if (!isDataInput(place.value, node)) return false;
  if (op === 'Transpose') return transpose(place, node);
  if (POOLS.has(op)) return place.axis === 1 && place.inner === 1;
  if (MOVES.has(op)) return flatten(place, node);
  return UNCHANGED.has(op) || op === 'Clip';
}

function transpose(place: Place, node: Node): boolean {
  const perm = node.ints('perm');
  if (!perm || place.inner !== 1) return false;
  place.axis = perm.indexOf(place.axis);
  return true;
}

function isRelu(node: Node): boolean {
  const bounds = clipBounds(node);
  return bounds?.min === 0 && (bounds.max === Number.POSITIVE_INFINITY || bounds.max >= 3e38);
}

/** A constant per channel, added or multiplied with. */
function passConstant(place: Place, node: Node): boolean {
  const { value, axis, channels } = place;
  const other = operands(node).find(([x, c]) => x === value && constant(c))?.[1];
  const rank = value.shape?.length;
  if (!other || rank === undefined || place.inner !== 1) return false;
  const values = perChannel({ rank, axis, channels }, other);
  if (!values) return false;
  if (node.op === 'Add') {
    const shape = [channels, ...new Array<number>(rank - axis - 1).fill(1)];
    place.addends.push({ node, index: node.inputs.indexOf(other), values, shape });
  }
  return true;
}

/** [N, C, H, W] to [N, C H W], in whichever words. */
function flatten(place: Place, node: Node): boolean {
  const rest = sizes(place.value.shape?.slice(1));
  const features = node.output.shape?.[1];
  const isFlat = node.output.shape?.length === 2 && place.axis > 0;
  if (!isFlat || !rest || features !== elementCount(rest)) return false;
  // Already flat: a second Flatten changes nothing.
  if (rest.length > 1 && place.inner !== 1) return false;
  place.inner *= elementCount(rest.slice(place.axis));
  place.axis = 1;
  return true;
}

function sizes(dims: readonly Dim[] | undefined): number[] | undefined {
  const known = dims?.filter((dim) => typeof dim === 'number');
  return known && known.length === dims?.length ? known : undefined;
}
