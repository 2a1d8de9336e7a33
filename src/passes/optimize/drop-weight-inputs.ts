// Until IR version 3 every initializer had to be a graph input, too. As an input it may be fed
// something else, so no runtime may fold it. Since IR 4 it need not be one.

import type { Pass } from '../pass.ts';

const pass: Pass = {
  name: 'drop-weight-inputs',
  summary: 'Removes initializers from the graph inputs, so that they are constants',
  level: 'basic',
  run(model) {
    const { graph } = model;
    const free = graph.inputs.filter((value) => value.data === undefined);
    if (free.length === graph.inputs.length) return false;
    graph.inputs = free;
    model.irVersion = Math.max(model.irVersion, 4);
    return true;
  },
};

export default pass;
