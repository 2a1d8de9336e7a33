// Which inner tensors of a student are held against which of its teacher: those that are named, else
// the ends of stages (feature maps by their resolution, hidden states by their layer) or, for
// attention, the maps of its softmaxes and the values they weigh.

import { layerNotThere, matchUnknown } from '../errors/distill.ts';
import type { Model, Node, Value } from '../graph/index.ts';
import { TEACHER } from './graft.ts';

export interface Match extends Pair {
  /** What both are: hidden states and feature maps, maps of attention, or the values under them. */
  readonly kind: 'state' | 'map' | 'value';
}

interface Pair {
  readonly student: Value;
  readonly teacher: Value;
}

/** Layers in even steps, the last ones alone, or pairs of layer numbers, student's and teacher's. */
export type LayerMap = 'uniform' | 'last' | readonly (readonly [number, number])[];

/** Pairs named as `student=teacher`. */
export function namedMatches(
  student: Model,
  teacher: Model,
  pairs: readonly (readonly [string, string])[],
): Match[] {
  return pairs.map(([a, b]) => ({
    kind: 'state',
    student: valueNamed(student, a, 'student'),
    teacher: valueNamed(teacher, b, 'teacher'),
  }));
}

function valueNamed(model: Model, name: string, whose: string): Value {
  for (const node of model.graph.nodes) {
    const found = node.outputs.find((value) => value.name === name);
    if (found) return found;
  }
  throw matchUnknown(name, whose);
}

/** Ends of stages: the last feature map of each resolution, or hidden states in order of depth. */
export function stageMatches(student: Model, teacher: Model, map: LayerMap): Match[] {
  const [ours, theirs] = [stages(student), stages(teacher)];
  const byResolution = [...ours.maps].flatMap(([key, value]) => {
    const other = theirs.maps.get(key);
    return other ? [{ kind: 'state' as const, student: value, teacher: other }] : [];
  });
  const states = byDepth(ours.states, theirs.states, map);
  return [...byResolution, ...states.map((pair) => ({ kind: 'state' as const, ...pair }))];
}

/** What attention is compared by: its maps, relations of the values they weigh, the states of layers. */
export const ATTENTION_PARTS = ['maps', 'values', 'states'] as const;

export type AttentionPart = (typeof ATTENTION_PARTS)[number];

/**
 * Layer by layer: attention maps [N, H, S, S], values [N, H, S, D] and hidden states [N, S, C]; H, D and
 * C may differ.
 */
export function attentionMatches(
  student: Model,
  teacher: Model,
  map: LayerMap,
  parts: readonly AttentionPart[] = ATTENTION_PARTS,
): Match[] {
  const relations = relationMatches(student, teacher, map).filter(({ kind }) =>
    parts.includes(kind === 'map' ? 'maps' : 'values'),
  );
  if (!parts.includes('states')) return relations;
  const states = byDepth(stages(student).states, stages(teacher).states, map);
  return [...relations, ...states.map((pair) => ({ kind: 'state' as const, ...pair }))];
}

function relationMatches(student: Model, teacher: Model, map: LayerMap): Match[] {
  const [ours, theirs] = [attentions(student), attentions(teacher)];
  const layers = byDepth(
    ours.map((one) => one.map),
    theirs.map((one) => one.map),
    map,
  );
  return layers.flatMap((pair): Match[] => {
    const own = ours.find((one) => one.map === pair.student)?.value;
    const other = theirs.find((one) => one.map === pair.teacher)?.value;
    const values = own && other ? [{ kind: 'value' as const, student: own, teacher: other }] : [];
    return [{ kind: 'map', ...pair }, ...values];
  });
}

/** Nodes of the model itself: teachers that stand in its graph already are left out. */
function ownNodes(model: Model): Node[] {
  return [...model.graph.nodes].filter((node) => !node.outputs[0]?.name.startsWith(TEACHER));
}

interface Attention {
  readonly map: Value;
  /** What the map weighs, where it is found. */
  readonly value: Value | undefined;
}

function attentions(model: Model): Attention[] {
  return ownNodes(model).flatMap((node) => {
    const map = attentionMap(node);
    return map ? [{ map, value: weighedBy(map) }] : [];
  });
}

function attentionMap({ op, outputs: [output] }: Node): Value | undefined {
  const shape = output?.shape ?? [];
  return op === 'Softmax' && shape.length === 4 && shape[2] === shape[3] ? output : undefined;
}

/** What the map may pass on its way to the product that reads it. */
const ON_THE_WAY = new Set(['Dropout', 'QuantizeLinear', 'DequantizeLinear']);

/** The other factor of the product that reads the map. */
function weighedBy(map: Value): Value | undefined {
  for (const { node } of map.uses) {
    if (node.op === 'MatMul' && node.inputs[0] === map) return node.inputs[1];
    const [output] = node.outputs;
    const found = ON_THE_WAY.has(node.op) && output ? weighedBy(output) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** The i-th of few beside the one as deep among many, the last beside the last, or as given. */
function byDepth(few: readonly Value[], many: readonly Value[], map: LayerMap): Pair[] {
  if (few.length === 0 || many.length === 0) return [];
  if (typeof map !== 'string') {
    return map.map(([a, b]) => ({
      student: layerAt(few, a, 'student'),
      teacher: layerAt(many, b, 'teacher'),
    }));
  }
  const last = { student: few.at(-1) as Value, teacher: many.at(-1) as Value };
  if (map === 'last') return [last];
  return few.map((student, i) => ({
    student,
    teacher: many[Math.ceil(((i + 1) * many.length) / few.length) - 1] as Value,
  }));
}

function layerAt(layers: readonly Value[], number: number, whose: string): Value {
  const layer = layers[number];
  if (!layer) throw layerNotThere(number, whose, layers.length);
  return layer;
}

/** What maps come out of; quantised ones out of DequantizeLinear. */
const MAP_ENDS = new Set([
  ...['Relu', 'Clip', 'LeakyRelu', 'PRelu', 'Elu', 'Gelu', 'HardSwish', 'Add', 'Mul'],
  'DequantizeLinear',
]);

function stages(model: Model): { maps: Map<string, Value>; states: Value[] } {
  const maps = new Map<string, Value>();
  const states: State[] = [];
  const spatial = new Set<Value | undefined>();
  let isAttended = false;
  for (const node of ownNodes(model)) {
    const [output] = node.outputs;
    const shape = output?.shape ?? [];
    if (isSpatial(node, spatial)) spatial.add(output);
    if (output?.dtype !== 'float32') continue;
    const resolution = shape.slice(2).join('x');
    // A single pixel is a weight of channels, or a mean over the map.
    if (spatial.has(output) && MAP_ENDS.has(node.op) && resolution !== '1x1') {
      maps.set(resolution, output);
    }
    if (attentionMap(node)) isAttended = true;
    if (shape.length !== 3 || !isResidual(node.op, node.inputs)) continue;
    states.push({ value: output, isAttended });
    isAttended = false;
  }
  return { maps, states: layerEnds(states) };
}

const CONVOLUTIONS = new Set(['Conv', 'ConvTranspose', 'QLinearConv', 'ConvInteger']);

/** Made by a convolution, or from what one made: scores of attention are no feature maps. */
function isSpatial({ op, inputs, outputs }: Node, known: ReadonlySet<Value | undefined>): boolean {
  if (outputs[0]?.shape?.length !== 4 || op === 'Reshape' || op === 'Transpose') return false;
  return CONVOLUTIONS.has(op) || inputs.some((value) => known.has(value));
}

interface State {
  readonly value: Value;
  /** Attention stands between it and the state before. */
  readonly isAttended: boolean;
}

/** Of attention and the feed-forward behind it the latter; sums of embeddings come before layers. */
function layerEnds(states: readonly State[]): Value[] {
  const first = Math.max(
    0,
    states.findIndex(({ isAttended }) => isAttended),
  );
  const ends = states.slice(first).filter(({ isAttended }, i, all) => {
    const next = all[i + 1];
    return !isAttended || !next || next.isAttended;
  });
  return ends.map(({ value }) => value);
}

/** x + f(x): both summands are computed, and have the shape of the sum. */
function isResidual(op: string, inputs: readonly (Value | undefined)[]): boolean {
  const shapes = inputs.map((value) => (value?.producer ? `${value.shape}` : ''));
  return op === 'Add' && shapes[0] !== '' && shapes[0] === shapes[1];
}
