// Until IR version 3 every initializer had to be a graph input, too. As an input it may be fed
// something else, so no runtime may fold it. Since IR 4 it need not be one: exporters that still list
// all of them do so by habit; one that lists some means default values, and keeps them.

import type { Graph } from '../../graph/index.ts';
import { mayEdit, type Pass } from '../pass.ts';

const pass: Pass = {
  name: 'drop-weight-inputs',
  summary: 'Removes initializers from the graph inputs, so that they are constants',
  level: 'basic',
  run(model, context) {
    const { graph } = model;
    const free = graph.inputs.filter((value) => value.data === undefined);
    if (free.length === graph.inputs.length) return false;
    if (model.irVersion >= 4 && !listsByHabit(graph)) return false;
    if (!mayEdit(context)) return false;
    graph.inputs = free;
    model.irVersion = Math.max(model.irVersion, 4);
    return true;
  },
};

export default pass;

function listsByHabit(graph: Graph): boolean {
  const inputs = new Set(graph.inputs);
  const all = [...graph.initializers];
  return all.every((value) => inputs.has(value)) && all.some((v) => (v.data?.size ?? 0) > 1);
}
