// What a model costs: multiply-adds, parameters, and the memory its activations take.
// One multiply-add is two FLOPs; the operators' own records say how many a node makes.

import {
  add,
  allGraphs,
  ceilDiv,
  cloneGraph,
  type Dim,
  dependenciesOf,
  type Graph,
  isUnknown,
  Model,
  type ModelFunction,
  mul,
  type Node,
  product,
  sub,
  substitute,
  symbolsOf,
  type Value,
} from '../graph/index.ts';
import { dtypeInfo, isFloat } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { constantData, InferenceFailure } from './context.ts';
import { bindAttributes, contextOf, inferTypes } from './infer.ts';
import { lookup } from './op.ts';

export interface ModelCost {
  /** Multiply-adds of one run; undefined where an operator with a cost rule has unknown sizes. */
  readonly macs: Dim | undefined;
  /** Nodes of the main graph whose cost is not known; `macs` leaves them out. */
  readonly unknown: number;
  readonly parameters: number;
  /** Parameters that training changes: no running statistics, no scalars, no integers. */
  readonly trainable: number;
  /** Where sizes are symbolic: the expression at the step that is dearest at a size of 64 each. */
  readonly peakActivationBytes: Dim | undefined;
}

/** The size symbols are given to compare steps with each other. */
const NOMINAL_SIZE = 64;

export function modelCost(model: Model): ModelCost {
  let macs: Dim | undefined = 0;
  let unknown = 0;
  for (const node of model.graph.nodes) {
    const cost = nodeCost(model, node);
    if (cost !== undefined) macs = macs === undefined ? undefined : add(macs, cost);
    else {
      unknown += 1;
      if (isHeavy(model, node)) macs = undefined;
    }
  }
  return {
    macs,
    unknown,
    parameters: parameterCount(model),
    trainable: trainableCount(model),
    peakActivationBytes: peakActivationBytes(model.graph),
  };
}

/** Multiply-adds of one node, its bodies or its function included. Needs inferred types. */
export function nodeCost(model: Model, node: Node): Dim | undefined {
  const cost = rawCost(model, node);
  return cost === undefined || isUnknown(cost) ? undefined : cost;
}

function rawCost(model: Model, node: Node): Dim | undefined {
  const called = model.functionOf(node.op, node.domain);
  if (called) return callCost(model, node, called);
  const spec = lookup(node);
  if (!spec) return undefined;
  if (node.outputs.length === 0) return 0;
  const bodies = node.subgraphs();
  if (bodies.length > 0) {
    const costs = bodies.map((body, i): Dim | undefined => {
      const runs = spec.runs ? ask(() => spec.runs?.(contextOf(model, node), i)) : 1;
      const once = runs === 0 ? 0 : graphCost(model, body);
      return runs === undefined || once === undefined ? undefined : mul(runs, once);
    });
    return costs.reduce(dearer);
  }
  if (spec.cost) return ask(() => spec.cost?.(contextOf(model, node)));
  const { type } = node.output;
  if (type && type.kind !== 'tensor') return 0;
  return type?.shape && product(type.shape);
}

/** Inputs that contradict each other have no cost; that they do, inference has reported. */
function ask(rule: () => Dim | undefined): Dim | undefined {
  try {
    return rule();
  } catch (error) {
    if (error instanceof InferenceFailure) return undefined;
    throw error;
  }
}

function graphCost(model: Model, graph: Graph): Dim | undefined {
  let sum: Dim | undefined = 0;
  for (const node of graph.nodes) {
    const cost = rawCost(model, node);
    sum = cost === undefined || sum === undefined ? undefined : add(sum, cost);
  }
  return sum;
}

/** Of two branches the one that costs more, as far as that can be said. */
function dearer(a: Dim | undefined, b: Dim | undefined): Dim | undefined {
  if (a === undefined || b === undefined) return undefined;
  return nominal(a) >= nominal(b) ? a : b;
}

function callCost(model: Model, node: Node, called: ModelFunction): Dim | undefined {
  const body = cloneGraph(called.graph);
  body.inputs.forEach((input, i) => {
    input.type = node.inputs[i]?.type;
    input.known = node.inputs[i]?.known;
    input.data = node.inputs[i]?.data;
  });
  bindAttributes(body, new Map([...called.defaults, ...node.attrs]));
  const inner = new Model(body, called.opsets, model.irVersion);
  // A function that calls itself is broken; leaving it out ends the recursion.
  inner.functions = model.functions.filter((f) => f !== called);
  inferTypes(inner);
  return graphCost(inner, body);
}

/** Whether the cost of a node is more than a pass over its output. */
function isHeavy(model: Model, node: Node): boolean {
  if (model.functionOf(node.op, node.domain)) return true;
  const spec = lookup(node);
  return spec !== undefined && (spec.cost !== undefined || node.subgraphs().length > 0);
}

/** Elements of all constants that are weights: floats, and what stands for floats when quantised. */
export function parameterCount(model: Model): number {
  return sizes(constantsOf(model).filter(([value, data]) => isWeight(value, data)));
}

function trainableCount(model: Model): number {
  const trained = ([value, data]: [Value, Tensor]) =>
    isFloat(data.dtype) &&
    data.shape.length > 0 &&
    !value.uses.some(({ node, index }) => lookup(node)?.statistics?.includes(index));
  return sizes(constantsOf(model).filter(trained));
}

function sizes(constants: readonly [Value, Tensor][]): number {
  return constants.reduce((sum, [, data]) => sum + data.size, 0);
}

/** Every initializer and every output of a Constant node, with its data. */
function constantsOf(model: Model): [Value, Tensor][] {
  const found: [Value, Tensor][] = [];
  for (const graph of allGraphs(model)) {
    for (const value of graph.initializers) if (value.data) found.push([value, value.data]);
    for (const node of graph.nodes) {
      if (node.inputs.length > 0 || node.outputs.length !== 1) continue;
      const data = constantData(node.output);
      if (data) found.push([node.output, data]);
    }
  }
  return found;
}

function isWeight(value: Value, data: Tensor): boolean {
  const { kind, bits } = dtypeInfo(data.dtype);
  if (kind === 'float' || kind === 'complex') return true;
  if (kind !== 'int' && kind !== 'uint') return false;
  if (bits <= 8) return true;
  // The bias of an integer convolution; other wide integers are indices, axes and shapes.
  return data.dtype === 'int32' && value.uses.some(({ node, index }) => isBias(node, index));
}

function isBias(node: Node, index: number): boolean {
  const { dtype } = node.output;
  if (index === 0) return dtype !== undefined && isFloat(dtype);
  const first = node.input(0)?.dtype;
  return first === 'int8' || first === 'uint8';
}

/** Bytes of all outputs of a node. */
export function activationBytes(node: Node): Dim | undefined {
  let sum: Dim = 0;
  for (const output of node.outputs) {
    const bytes = output.name ? bytesOf(output) : 0;
    if (bytes === undefined) return undefined;
    sum = add(sum, bytes);
  }
  return sum;
}

function bytesOf(value: Value): Dim | undefined {
  const { dtype, shape } = value;
  if (!dtype || !shape || shape.some(isUnknown)) return undefined;
  return ceilDiv(mul(product(shape), dtypeInfo(dtype).bits), 8);
}

/**
 * The most memory that inputs and results take at once when nodes run one after the other in their
 * order and each value is freed after its last reader. Weights are not counted.
 */
export function peakActivationBytes(graph: Graph): Dim | undefined {
  const lastReader = new Map<Value, Node>();
  for (const node of graph.nodes) {
    for (const value of dependenciesOf(node)) lastReader.set(value, node);
  }
  const kept = new Set(graph.outputs);
  const live = new Map<Value, Dim>();
  let total: Dim = 0;
  const start = (value: Value): boolean => {
    if (!value.name || constantData(value)) return true;
    const bytes = bytesOf(value);
    if (bytes === undefined) return false;
    live.set(value, bytes);
    total = add(total, bytes);
    return true;
  };
  if (!graph.inputs.filter((input) => !input.data).every(start)) return undefined;
  let peak: Dim = total;
  for (const node of graph.nodes) {
    if (!node.outputs.every(start)) return undefined;
    const inner = innerPeak(node);
    if (inner === undefined) return undefined;
    const now = add(total, inner);
    if (nominal(now) > nominal(peak)) peak = now;
    for (const value of [...dependenciesOf(node), ...node.outputs]) {
      const isDead = (lastReader.get(value) ?? node) === node;
      if (!isDead || kept.has(value)) continue;
      total = sub(total, live.get(value) ?? 0);
      live.delete(value);
    }
  }
  return peak;
}

function innerPeak(node: Node): Dim | undefined {
  let peak: Dim | undefined = 0;
  for (const body of node.subgraphs()) peak = dearer(peak, peakActivationBytes(body));
  return peak;
}

function nominal(dim: Dim): number {
  if (typeof dim === 'number') return dim;
  const value = substitute(dim, new Map(symbolsOf(dim).map((name) => [name, NOMINAL_SIZE])));
  return typeof value === 'number' ? value : 0;
}
