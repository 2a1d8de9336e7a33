// Who calculates with a weight.

import type { Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';

/** The nodes that read a weight, behind those that only make constants of constants. */
export function readersOf(value: Value): Node[] {
  return value.uses.flatMap(({ node }) =>
    isFixed(node) ? node.outputs.flatMap((output) => readersOf(output)) : [node],
  );
}

function isFixed(node: Node): boolean {
  return node.inputs.every((value) => {
    if (!value || value.data || constantData(value)) return true;
    const { producer } = value;
    return producer !== undefined && producer.inputs.length > 0 && isFixed(producer);
  });
}
