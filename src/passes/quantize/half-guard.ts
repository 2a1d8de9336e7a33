// What calibration data shows: values that leave the range of half, and nodes that half makes wrong.
// The float model is observed first; then the model is taken to half on trial, run beside the float
// one, and nodes at which the two part are given back to float32, until the outputs agree.

import { graphsOf, type Model, type Node, type Value } from '../../graph/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Calibration } from './context.ts';
import { LIMITS } from './half-constants.ts';
import { isMove, isSingle } from './half-ops.ts';
import { HalfPlan, singlesAt } from './half-plan.ts';
import { distance, floatsOf, sketchAll } from './half-sketch.ts';

/**
 * Keeps nodes float32 that make or read what is beyond `dataMax`, or all of which is below the normal
 * numbers of half; `model` is the float one, without masks. Nodes of the main graph only: others
 * cannot be observed.
 */
export async function keepByRange(
  plan: HalfPlan,
  model: Model,
  calibration: Calibration,
  dataMax: number,
): Promise<void> {
  const extents = await observeExtents(plan, model, calibration);
  const { normal } = LIMITS[plan.half];
  for (const [value, max] of extents) {
    const isSmall = max > 0 && max < normal;
    if (max <= dataMax && !isSmall) continue;
    const reached = `${max.toPrecision(3)} on the calibration data`;
    const limit = isSmall ? `the least normal ${plan.half} (${normal.toPrecision(3)})` : dataMax;
    const bound = `${isSmall ? 'below' : 'beyond'} ${limit}`;
    const { producer } = value;
    if (producer) plan.keepFloat(producer, `its results reach ${reached}, ${bound}`);
    for (const { node } of value.uses) {
      if (plan.able.has(node)) plan.keepFloat(node, `it reads ${reached}, ${bound}`);
    }
  }
}

/** The largest finite magnitude of each value that half nodes make or read. */
async function observeExtents(
  plan: HalfPlan,
  model: Model,
  calibration: Calibration,
): Promise<Map<Value, number>> {
  const values = new Map<string, Value>();
  for (const [node, slots] of plan.able) {
    if (!plan.chosen.has(node)) continue;
    for (const value of singlesAt(node, slots)) {
      if (isVisible(value, plan)) values.set(value.name, value);
    }
  }
  const extents = new Map<Value, number>();
  if (values.size === 0) return extents;
  await calibration.observe(model, [...values.keys()], (name, tensor) => {
    const value = values.get(name);
    if (value) extents.set(value, Math.max(extents.get(value) ?? 0, largest(tensor)));
  });
  return extents;
}

function largest(tensor: Tensor): number {
  let max = 0;
  for (const x of floatsOf(tensor)) {
    const size = Math.abs(x);
    if (size > max && size < Number.POSITIVE_INFINITY) max = size;
  }
  return max;
}

/** Values of the main graph that a run can show. */
function isVisible(value: Value, plan: HalfPlan): boolean {
  if (plan.constants.has(value) || !value.name) return false;
  if (value.producer) return value.producer.graph === plan.model.graph;
  return plan.model.graph.inputs.includes(value) && !value.data;
}

/** Makes the model that a plan stands for, out of a copy. */
export type Trial = (plan: HalfPlan) => Model;

const ROUNDS = 8;
/** Batches that trials are judged on. */
const BATCHES = 2;
/** |half - float| / |float| of the outputs that is good enough: a cosine of 0.9999. */
const GOOD = 0.014;
/**
 * A node is to blame whose result is so many times as wrong as what it reads, and more so than rounding
 * explains. The clear cases first; the others only where the outputs are still apart.
 */
const THRESHOLDS = [
  { jump: 4, noise: 4e-3 },
  { jump: 2, noise: 1e-3 },
  { jump: 1.4, noise: 5e-4 },
] as const;
/** A round that does not bring the outputs so much nearer is taken back. */
const PROGRESS = 0.8;
/** What half does to a number. */
const ROUNDING = 2 ** -12;
/** Share of the half nodes that one round gives up at most. */
const SHARE = 0.05;

/**
 * Gives nodes back to float32 until the outputs agree. Returns how far they are apart in the end, as
 * |half - float| / |float|; undefined where there was nothing to compare.
 */
export async function keepByError(
  plan: HalfPlan,
  calibration: Calibration,
  trial: Trial,
): Promise<number | undefined> {
  const outputs = plan.model.graph.outputs.filter(
    (value) => isSingle(value) && value.producer && !plan.constants.has(value),
  );
  const names = [...new Set(outputs.map((value) => value.name))];
  if (names.length === 0 || plan.chosen.size === 0) return undefined;
  const expected = await sketchAll(plan.model, names, calibration, BATCHES);
  const score = async () => {
    const model = trial(plan);
    const actual = await sketchAll(model, names, calibration, BATCHES);
    const apart = names.map((name) => distance(expected.get(name), actual.get(name)));
    return { model, worst: Math.max(...apart) };
  };
  const seen = innerNames(plan);
  let inner: Map<string, Float32Array> | undefined;
  let current = await score();
  let level = 0;
  for (let round = 0; round < ROUNDS && current.worst > GOOD; round++) {
    inner ??= await sketchAll(plan.model, seen, calibration, 1);
    const kept = namesIn(current.model, seen);
    const errors = errorsOf(inner, await sketchAll(current.model, kept, calibration, 1));
    let culprits: Culprit[] = [];
    for (; level < THRESHOLDS.length && culprits.length === 0; level++) {
      culprits = blame(plan, errors, THRESHOLDS[level] ?? THRESHOLDS[0]);
    }
    if (culprits.length === 0) break;
    level -= 1;
    const before = plan.state();
    for (const { node, reason } of culprits) plan.keepFloat(node, reason);
    const next = await score();
    if (next.worst <= current.worst * PROGRESS || current.worst === Number.POSITIVE_INFINITY) {
      current = next;
    } else {
      plan.restore(before);
      level += 1;
    }
  }
  return current.worst;
}

function innerNames(plan: HalfPlan): string[] {
  const { graph } = plan.model;
  const outputs = new Set(graph.outputs);
  return [...graph.nodes].flatMap((node) =>
    node.outputs
      .filter((value) => isSingle(value) && isVisible(value, plan) && !outputs.has(value))
      .map(({ name }) => name),
  );
}

/** Those of the names that values of a model still have. */
function namesIn(model: Model, names: readonly string[]): string[] {
  const known = new Set(
    [...model.graph.nodes].flatMap(({ outputs }) => outputs.map(({ name }) => name)),
  );
  return names.filter((name) => known.has(name));
}

interface Culprit {
  readonly node: Node;
  readonly reason: string;
}

function errorsOf(
  expected: ReadonlyMap<string, Float32Array>,
  actual: ReadonlyMap<string, Float32Array>,
): Map<string, number> {
  return new Map([...expected].map(([name, values]) => [name, distance(values, actual.get(name))]));
}

/** The nodes whose results are much worse than what they read, the worst first. */
function blame(
  plan: HalfPlan,
  errors: ReadonlyMap<string, number>,
  { jump, noise }: (typeof THRESHOLDS)[number],
): Culprit[] {
  const found: (Culprit & { ratio: number })[] = [];
  for (const node of plan.model.graph.nodes) {
    const [before, after] = [node.inputs, node.outputs].map((values) =>
      Math.max(0, ...values.map((value) => (value && errors.get(value.name)) ?? 0)),
    ) as [number, number];
    const isInfinite = after === Number.POSITIVE_INFINITY;
    if (after <= Math.max(jump * before, noise)) continue;
    const ratio = isInfinite ? after : after / Math.max(before, ROUNDING);
    const what = isInfinite ? 'are infinite or NaN' : percent(after);
    for (const part of halfParts(node, isInfinite, plan)) {
      const whose = part === node ? 'its results' : `results of ${node.op} beside it`;
      const reason = `in ${plan.half} ${whose} ${what} on the calibration data`;
      found.push({ node: part, reason, ratio });
    }
  }
  found.sort((a, b) => (a.ratio === b.ratio ? 0 : b.ratio - a.ratio));
  return found.slice(0, Math.max(4, Math.ceil(plan.chosen.size * SHARE)));
}

function percent(error: number): string {
  return `are off by ${(error * 100).toPrecision(2)} %`;
}

/**
 * Whom to take half from: the node, with what is inside of it, and those that round what it reads, as
 * it makes much of little; or, where its results do not fit into half, its readers.
 */
function halfParts(node: Node, isInfinite: boolean, plan: HalfPlan): Node[] {
  const inside = node.subgraphs().flatMap((graph) => [...graphsOf(graph)]);
  const own = [node, ...inside.flatMap((graph) => [...graph.nodes])];
  const readers = node.outputs.flatMap(({ uses }) => uses.map((use) => use.node));
  const makers = node.inputs.flatMap((value) => value?.producer ?? []);
  const isChosen = (one: Node) => plan.chosen.has(one);
  const near = isInfinite ? readers : makers.filter((maker) => !isMove(maker));
  return [...new Set([...own, ...near].filter(isChosen))];
}

/** The same plan for a copy of the model, with graph inputs and outputs in float32. */
export function planFor(plan: HalfPlan, copy: Model): HalfPlan {
  const twin = new HalfPlan(copy, plan.half, true);
  const nodes = [...graphsOf(copy.graph)].flatMap((graph) => [...graph.nodes]);
  let at = 0;
  for (const graph of graphsOf(plan.model.graph)) {
    for (const node of graph.nodes) {
      const other = nodes[at++];
      if (other && !plan.chosen.has(node)) twin.chosen.delete(other);
    }
  }
  return twin;
}
