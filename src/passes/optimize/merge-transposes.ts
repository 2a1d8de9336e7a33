// Two transpositions one after the other are one: transpose(transpose(x, p), q) = transpose(x, p[q]).

import { attr } from '../../graph/index.ts';
import { compose, permOf } from '../layout.ts';
import { producer, removeDead } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'merge-transposes',
  summary: 'Makes one Transpose of two',
  on: 'Transpose',
  apply(node, { graph }) {
    const inner = producer(node.input(0), 'Transpose');
    const source = inner?.input(0);
    const [first, second] = [inner && permOf(inner), permOf(node)];
    if (!inner || !source || !first || !second || first.length !== second.length) return undefined;
    node.setInput(0, source);
    node.setAttr('perm', attr.ints(compose(first, second)));
    if (inner.graph === graph) removeDead(graph, [inner]);
    return true;
  },
});
