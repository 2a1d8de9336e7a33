// A model cut in two, where some of its inputs stay the same from run to run: the first part computes what
// depends on these alone, the second one takes it as inputs. So a text is read once, and not anew for each
// word of its translation.

import { isUnknown, sameDim } from './dim.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import { dropUnread } from './unread.ts';
import { Value } from './value.ts';
import { graphsOf } from './walk.ts';

export interface Halves {
  /** Its outputs are further inputs of the second, by their names. */
  readonly first: Model;
  readonly second: Model;
}

/**
 * Cuts between what depends on the inputs named in `changing` and what does not, at values that have a
 * row per sample. Undefined where there is nothing to gain, or subgraphs hide who reads what.
 *
 * @param model with inferred types
 */
export function splitModel(model: Model, changing: ReadonlySet<string>): Halves | undefined {
  const second = model.clone();
  const { graph } = second;
  if (model.functions.length > 0 || [...graphsOf(graph)].length > 1) return undefined;
  const cuts = cutsOf(graph, changing);
  if (cuts.length === 0) return undefined;
  const first = model.clone();
  const names = new Set(cuts.map(({ name }) => name));
  const made = [...first.graph.nodes].flatMap(({ outputs }) => outputs);
  first.graph.outputs = made.filter(({ name }) => names.has(name));
  for (const value of cuts) {
    const { name } = value;
    value.name = graph.fresh(`${name}_before`);
    const input = new Value(name, value.type);
    graph.inputs.push(input);
    graph.replace(value, input);
  }
  for (const half of [first, second]) {
    dropUnread(half.graph);
    half.graph.inputs = half.graph.inputs.filter(({ uses }) => uses.length > 0);
  }
  return { first, second };
}

/** The last values that do not depend on what changes, and have a row per sample. */
function cutsOf(graph: Graph, changing: ReadonlySet<string>): Value[] {
  const inputs = graph.inputs.filter(({ data }) => !data);
  const changes = new Set(inputs.filter(({ name }) => changing.has(name)));
  const batch = inputs.find((value) => !changes.has(value) && value.shape?.length)?.shape?.[0];
  if (typeof batch !== 'object' || isUnknown(batch)) return [];
  const hasRows = ({ shape }: Value) => {
    const [rows] = shape ?? [];
    return rows !== undefined && (shape?.length ?? 0) > 1 && sameDim(rows, batch);
  };
  const found = new Set<Value>();
  const seen = new Set<Value>();
  const cut = (value: Value): void => {
    const { producer } = value;
    if (!producer || changes.has(value) || seen.has(value)) return;
    seen.add(value);
    if (hasRows(value)) found.add(value);
    else for (const input of producer.inputs) if (input) cut(input);
  };
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => input && changes.has(input))) continue;
    for (const output of node.outputs) changes.add(output);
    for (const input of node.inputs) if (input) cut(input);
  }
  for (const value of graph.outputs) cut(value);
  return [...found];
}
