// What a pass is: a named edit of a model, told from the outside how to run graphs.

import { allGraphs, Builder, type Graph, type Model, type Node } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { constantsToNodes } from './function-constants.ts';

/** Runs a model on given inputs; `want` names outputs (all when left out). Given by the caller. */
export type Runner = (model: Model, feeds: Feeds, want?: readonly string[]) => Promise<Feeds>;

/** A graph that is run many times. */
export interface Loaded {
  run(feeds: Feeds): Promise<Feeds>;
  dispose(): Promise<void>;
}

/** Loads a graph once for many runs, on all threads. Given by the caller. */
export type Loader = (model: Model) => Promise<Loaded>;

export type Level = 'basic' | 'extended';

export interface PassContext {
  readonly run: Runner;
  /** How far a pass may go; one that can do more at `extended` looks here. */
  readonly level: Level;
  /** Records why a rewrite did not apply to a node; shown by --verbose and in the report. */
  note(node: Node, reason: string): void;
  /** Stops a rewrite after so many nodes: how the search for a harmful node works. */
  readonly budget?: Budget;
}

export interface Budget {
  left: number;
  /** The node that was rewritten last. */
  last?: string;
}

export interface Pass {
  /** The file's name, and the word for `--passes`. */
  readonly name: string;
  readonly summary: string;
  /** `extended`: makes operators of `com.microsoft`, or graphs only onnxruntime runs. */
  readonly level: Level;
  /** Runs only where it is named: right, but slower on some provider; the file says which. */
  readonly onDemand?: boolean | undefined;
  /** Edits the model in place; true when it changed anything. */
  run(model: Model, context: PassContext): boolean | Promise<boolean>;
}

/** A rewrite that did not apply, and why. */
export interface Skip {
  readonly skip: string;
}

export function skip(reason: string): Skip {
  return { skip: reason };
}

export interface RewriteContext extends PassContext {
  readonly model: Model;
  /** Version of the standard domain where the node stands: a function has its own. */
  readonly opset: number;
  /** The graph the node stands in. */
  readonly graph: Graph;
  /** Makes new nodes before `node`, with types inferred at once. */
  readonly g: Builder;
}

export interface Rewrite {
  readonly name: string;
  readonly summary: string;
  readonly level?: Level;
  readonly onDemand?: boolean;
  /** Operators of the standard domain to visit; `*` for every node. */
  readonly on: string | readonly string[];
  /** True: changed. False or nothing: not its case. `skip(reason)`: its case, but not allowed. */
  apply(node: Node, context: RewriteContext): boolean | Skip | undefined;
}

/** A pass that visits nodes of some operators in every graph of the model, in order. */
export function rewrite(rule: Rewrite): Pass {
  const ops = new Set(typeof rule.on === 'string' ? [rule.on] : rule.on);
  return {
    name: rule.name,
    summary: rule.summary,
    level: rule.level ?? 'basic',
    onDemand: rule.onDemand,
    run(model, context) {
      let changed = false;
      for (const graph of [...allGraphs(model)]) {
        const inGraph = applyIn(rule, ops, graph, model, context);
        if (inGraph && isFunctionBody(model, graph)) constantsToNodes(graph);
        changed ||= inGraph;
      }
      return changed;
    },
  };
}

function applyIn(
  rule: Rewrite,
  ops: ReadonlySet<string>,
  graph: Graph,
  model: Model,
  context: PassContext,
): boolean {
  const opset = opsetsAt(model, graph).get('') ?? 1;
  let changed = false;
  for (const node of graph.nodes) {
    if (!ops.has('*') && (node.domain !== '' || !ops.has(node.op))) continue;
    if (context.budget?.left === 0) break;
    const g = new Builder(graph, node, (made) => inferNode(model, made));
    changed = applyRule(rule, node, { ...context, model, opset, graph, g }) || changed;
  }
  return changed;
}

function applyRule(rule: Rewrite, node: Node, context: RewriteContext): boolean {
  const { budget } = context;
  const described = budget && node.describe();
  const result = rule.apply(node, context);
  if (typeof result === 'object') context.note(node, result.skip);
  if (result !== true) return false;
  if (budget) Object.assign(budget, { left: budget.left - 1, last: described });
  return true;
}

/** For passes that are no rewrites: counts one edit, unless the budget is used up. */
export function mayEdit(context: PassContext, node?: Node): boolean {
  const { budget } = context;
  if (budget?.left === 0) return false;
  if (budget) Object.assign(budget, { left: budget.left - 1, last: node?.describe() });
  return true;
}

/** The opset imports that hold in a graph: those of the model, or of the function it is part of. */
export function opsetsAt(model: Model, graph: Graph): ReadonlyMap<string, number> {
  return model.functions.find((f) => f.graph === graph.root)?.opsets ?? model.opsets;
}

/** Imports a domain where a graph stands, so that its operators may be used there. */
export function importDomain(model: Model, graph: Graph, domain: string, version: number): void {
  if (!model.opsets.has(domain)) model.opsets.set(domain, version);
  model.functions = model.functions.map((f) =>
    f.graph === graph.root && !f.opsets.has(domain)
      ? { ...f, opsets: new Map([...f.opsets, [domain, version]]) }
      : f,
  );
}

/** Bodies of functions cannot hold initializers: constants there stay Constant nodes. */
export function isFunctionBody(model: Model, graph: Graph): boolean {
  return model.functions.some((f) => f.graph === graph.root);
}
