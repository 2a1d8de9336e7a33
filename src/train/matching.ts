// Which inner tensors of a student are held against which of its teacher: those that are named, else
// the ends of stages (feature maps by their resolution, hidden states by their depth) and, for
// attention, the maps of its softmaxes.

import { matchUnknown } from '../errors/train.ts';
import type { Model, Node, Value } from '../graph/index.ts';
import { TEACHER } from './graft.ts';

export interface Match {
  readonly student: Value;
  readonly teacher: Value;
}

export type LayerMap = 'uniform' | 'last';

/** Pairs named as `student=teacher`. */
export function namedMatches(
  student: Model,
  teacher: Model,
  pairs: readonly (readonly [string, string])[],
): Match[] {
  return pairs.map(([a, b]) => ({
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
    return other ? [{ student: value, teacher: other }] : [];
  });
  return [...byResolution, ...byDepth(ours.states, theirs.states, map)];
}

/** Attention maps [N, H, S, S], in order of depth. */
export function attentionMatches(student: Model, teacher: Model, map: LayerMap): Match[] {
  return byDepth(attentionMaps(student), attentionMaps(teacher), map);
}

/** Nodes of the model itself: teachers that stand in its graph already are left out. */
function ownNodes(model: Model): Node[] {
  return [...model.graph.nodes].filter((node) => !node.outputs[0]?.name.startsWith(TEACHER));
}

function attentionMaps(model: Model): Value[] {
  return ownNodes(model).flatMap((node) => {
    const [output] = node.outputs;
    const shape = output?.shape ?? [];
    const isMap = node.op === 'Softmax' && shape.length === 4 && shape[2] === shape[3];
    return isMap && output ? [output] : [];
  });
}

/** The i-th of few beside the one as deep among many, or the last beside the last. */
function byDepth(few: readonly Value[], many: readonly Value[], map: LayerMap): Match[] {
  if (few.length === 0 || many.length === 0) return [];
  const last = { student: few.at(-1) as Value, teacher: many.at(-1) as Value };
  if (map === 'last') return [last];
  return few.map((student, i) => ({
    student,
    teacher: many[Math.ceil(((i + 1) * many.length) / few.length) - 1] as Value,
  }));
}

const MAP_ENDS = new Set(['Relu', 'Clip', 'Add', 'HardSwish', 'Sigmoid', 'Mul', 'LeakyRelu']);

function stages(model: Model): { maps: Map<string, Value>; states: Value[] } {
  const maps = new Map<string, Value>();
  const states: Value[] = [];
  for (const node of ownNodes(model)) {
    const [output] = node.outputs;
    const shape = output?.shape ?? [];
    if (output?.dtype !== 'float32') continue;
    if (shape.length === 4 && MAP_ENDS.has(node.op)) maps.set(shape.slice(2).join('x'), output);
    if (shape.length === 3 && isResidual(node.op, node.inputs)) states.push(output);
  }
  return { maps, states };
}

/** x + f(x): both summands are computed, and have the shape of the sum. */
function isResidual(op: string, inputs: readonly (Value | undefined)[]): boolean {
  const shapes = inputs.map((value) => (value?.producer ? `${value.shape}` : ''));
  return op === 'Add' && shapes[0] !== '' && shapes[0] === shapes[1];
}
