// Lifts a model to a newer opset of the standard domain, one version at a time: each operator that
// changed has an adapter, found by name and version in the tables of this folder. All or nothing.

import assert from 'node:assert/strict';
import { type Graph, graphsOf, type Model, type Node } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import { Constants, UpgradeContext } from './adapter.ts';
import { drop } from './attributes.ts';
import { ADAPTERS } from './table.ts';
import { VERSIONS } from './versions.ts';

export { NEWEST_OPSET } from './versions.ts';

/** What opset 6 took from every operator: a hint for memory. */
const dropConsumed = drop('consumed_inputs');

export interface Upgrade {
  /** The lifted copy; the model itself where there was nothing to lift, or something cannot be. */
  readonly model: Model;
  readonly from: number;
  readonly to: number;
  /** Nodes of the model as it was that had to be said differently. */
  readonly changed: readonly string[];
  /** Why the model stayed as it was. */
  readonly blocked?: { readonly node: string; readonly reason: string };
}

/** Lifts main graph and functions to the target; versions that are newer already stay. */
export function upgradeOpset(model: Model, target: number): Upgrade {
  assert(target in MINIMAL_IR, `opset ${target} is not known`);
  const from = model.opset;
  const stays = { model, from, to: from, changed: [] };
  if (!model.opsets.has('') || from >= target) return stays;
  const copy = model.clone();
  // Until version 3 of the format weights had to be inputs, but were constants; since 4 an input can
  // be fed something else, and nothing would be folded into it.
  if (copy.irVersion < 4) copy.graph.inputs = copy.graph.inputs.filter((value) => !value.data);
  copy.irVersion = Math.max(copy.irVersion, MINIMAL_IR[target] ?? 0);
  inferTypes(copy);
  const changed = new Set<string>();
  try {
    liftGraph(copy, copy.graph, from, target, changed);
    liftFunctions(copy, target, changed);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ...stays, blocked: { node: error.node, reason: error.message } };
  }
  return { model: copy, from, to: target, changed: [...changed] };
}

/** The first version of the file format that an opset came with, but 4 at least, where weights need
 * not be inputs. ONNX, Versioning.md. */
const MINIMAL_IR: Readonly<Record<number, number>> = {
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((opset) => [opset, 4])),
  10: 5,
  11: 6,
  12: 7,
  13: 7,
  14: 7,
  15: 8,
  16: 8,
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
  22: 10,
  23: 11,
  24: 12,
  25: 13,
  26: 13,
};

class Refusal extends Error {
  readonly node: string;

  constructor(node: string, reason: string) {
    super(reason);
    this.node = node;
  }
}

/** A main graph or the body of a function, with everything below it. */
function liftGraph(model: Model, root: Graph, from: number, target: number, changed: Set<string>) {
  const constants = new Constants(root, root !== model.graph);
  const own = new Set([...graphsOf(root)].flatMap((graph) => [...graph.nodes]));
  for (let version = from + 1; version <= target; version++) {
    // New nodes are of this version, and inferred as such.
    model.opsets.set('', version);
    for (const graph of [...graphsOf(root)]) {
      for (const node of graph.nodes) {
        if (node.domain !== '' || model.functionOf(node.op, '')) continue;
        const name = node.describe();
        const context = new UpgradeContext(model, node, graph, target, constants);
        if (liftNode(node, version, context) && own.has(node)) changed.add(name);
      }
    }
  }
  constants.dropUnused();
}

function liftNode(node: Node, version: number, context: UpgradeContext): boolean {
  if (!Object.hasOwn(VERSIONS, node.op)) {
    throw new Refusal(node.describe(), `"${node.op}" is not an operator of the standard`);
  }
  const dropped = version === 6 && dropConsumed(node, context) === true;
  const result = ADAPTERS[node.op]?.[version]?.(node, context);
  if (typeof result === 'object') throw new Refusal(node.describe(), result.skip);
  return dropped || result === true;
}

function liftFunctions(model: Model, target: number, changed: Set<string>): void {
  model.functions = model.functions.map((fn) => {
    const from = fn.opsets.get('');
    if (from === undefined || from >= target) return fn;
    liftGraph(model, fn.graph, from, target, changed);
    return { ...fn, opsets: new Map([...fn.opsets, ['', target]]) };
  });
}
