// An If whose condition never changes is its branch.

import { knownElements } from '../../ops/index.ts';
import { moveBody } from '../inline.ts';
import { numbers } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'inline-if',
  summary: 'Replaces an If with a constant condition by the branch it takes',
  on: 'If',
  apply(node, { graph }) {
    const condition = node.input(0);
    const [taken] = numbers(condition) ?? (condition && knownElements(condition)) ?? [];
    if (typeof taken !== 'number') return undefined;
    const branch = node.subgraph(taken ? 'then_branch' : 'else_branch');
    if (!branch || branch.sparse.size > 0) return undefined;
    moveBody(branch, node, graph);
    return true;
  },
});
