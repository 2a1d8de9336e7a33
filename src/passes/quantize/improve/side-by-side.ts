// Two models of the same inputs in one graph, so that one run tells what differs between them: the
// quantised one as it is, and the float one with other names. Serves sums over the differences, which
// then need no memory for the values themselves.

import { graphsOf, type Model, topologicalOrder, type Value } from '../../../graph/index.ts';
import { inferTypes } from '../../../ops/index.ts';
import { upgradeOpset } from '../../upgrade/index.ts';

export interface SideBySide {
  readonly model: Model;
  /** Values of the quantised model. */
  quantized(name: string): Value | undefined;
  /** Values of the float model, by the names they have there. */
  float(name: string): Value | undefined;
  /** Puts nodes that were added anywhere into order. */
  finish(): Model;
}

/** Both models in one; a text says why they cannot be. */
export function sideBySide(quantized: Model, float: Model): SideBySide | string {
  const model = quantized.clone();
  const lifted = upgradeOpset(float, model.opset);
  if (lifted.blocked) return `the float model stays at opset ${float.opset}`;
  const twin = lifted.model === float ? float.clone() : lifted.model;
  if (twin.opset !== model.opset) return 'the models are of different opsets';
  if (twin.functions.length > 0 || twin.graph.sparse.size > 0) return 'it has functions';
  const floats = new Map<string, Value>();
  for (const value of new Set(valuesOf(twin))) {
    floats.set(value.name, value);
    value.name = model.graph.fresh(`float/${value.name}`);
  }
  adopt(model, twin, floats);
  inferTypes(model);
  const own = new Map([...valuesOf(model)].map((value) => [value.name, value]));
  return {
    model,
    quantized: (name) => own.get(name),
    float: (name) => floats.get(name),
    finish() {
      model.graph.reorder(topologicalOrder(model.graph));
      inferTypes(model);
      return model;
    },
  };
}

function* valuesOf(model: Model): Generator<Value> {
  for (const graph of graphsOf(model.graph)) {
    for (const value of [...graph.inputs, ...graph.initializers]) if (value.name) yield value;
    for (const node of graph.nodes) for (const value of node.outputs) if (value.name) yield value;
  }
}

function adopt(model: Model, twin: Model, floats: Map<string, Value>): void {
  const inputs = new Map(model.graph.inputs.map((value) => [value.name, value]));
  for (const [name, value] of floats) {
    const input = twin.graph.inputs.includes(value) ? inputs.get(name) : undefined;
    const isOwn = twin.graph.initializers.has(value) && value.data;
    const by = input ?? (isOwn ? model.graph.addInitializer(value.name, isOwn) : undefined);
    if (!by) continue;
    for (const { node, index } of [...value.uses]) node.setInput(index, by);
    floats.set(name, by);
  }
  for (const node of twin.graph.takeAll()) {
    if (node.name) node.name = `float/${node.name}`;
    model.graph.append(node);
  }
  for (const [domain, version] of twin.opsets) {
    if (!model.opsets.has(domain)) model.opsets.set(domain, version);
  }
  model.irVersion = Math.max(model.irVersion, twin.irVersion);
}
