// Concat is associative: one that feeds only another along the same axis is part of it.

import type { Node, Value } from '../../graph/index.ts';
import { onlyReader, producer, removeDead } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'merge-concats',
  summary: 'Makes one Concat of nested ones',
  on: 'Concat',
  apply(node, { graph }) {
    const parts = (value: Value | undefined): readonly (Value | undefined)[] => {
      const inner = producer(value, 'Concat');
      const isPart = inner && value && onlyReader(value) === node && sameAxis(inner, node);
      return isPart ? inner.inputs : [value];
    };
    const old = [...node.inputs];
    const inputs = old.flatMap(parts);
    if (inputs.length === old.length) return undefined;
    node.dropInputs(0);
    inputs.forEach((value, i) => {
      node.setInput(i, value);
    });
    removeDead(
      graph,
      old.flatMap((value) => value?.producer ?? []),
    );
    return true;
  },
});

function sameAxis(a: Node, b: Node): boolean {
  const [p, q] = [a.int('axis', 1), b.int('axis', 1)];
  if (p === q) return true;
  const rank = a.output.shape?.length ?? b.output.shape?.length;
  return rank !== undefined && (p + rank) % rank === (q + rank) % rank;
}
