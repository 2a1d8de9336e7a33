// Shapes that are calculated from sizes which a cut changes: a head size as the hidden size by the
// number of heads. Where such a target no longer gives the shape that it should, its numbers are pinned.

import {
  graphsOf,
  type Model,
  type Node,
  type Shape,
  type Type,
  type Value,
} from '../../graph/index.ts';
import { constantData, contextOf, lookup, ResizeContext } from '../../ops/index.ts';

interface Target {
  readonly node: Node;
  readonly input: number;
  /** What was known of the target before the cut. */
  readonly given: Shape | undefined;
  readonly resize: ResizeContext;
}

export class Targets {
  #open: Target[] = [];

  /** Notes all targets that are calculated; types must be those from before the cut. */
  constructor(model: Model) {
    for (const graph of graphsOf(model.graph)) {
      for (const node of graph.nodes) {
        const input = lookup(node)?.shapeInput;
        const target = input === undefined ? undefined : node.inputs[input];
        if (input === undefined || !target || constantData(target)) continue;
        const context = contextOf(model, node);
        const resize = new ResizeContext(context, () => undefined);
        this.#open.push({ node, input, given: context.known(input), resize });
      }
    }
  }

  /** Pins the first target that gives another shape; false where there is none. */
  pin(expected: ReadonlyMap<Value, Type | undefined>): boolean {
    for (const target of this.#open) {
      const type = expected.get(target.node.output);
      const shape = type?.kind === 'tensor' ? type.shape : undefined;
      if (!shape || !(isOff(target.node.output.shape, shape) || says(target, shape))) continue;
      this.#open = this.#open.filter((other) => other !== target);
      if (write(target, shape)) return true;
    }
    return false;
  }
}

function isOff(found: Shape | undefined, expected: Shape): boolean {
  if (!found || found.length !== expected.length) return found !== undefined;
  return found.some((dim, i) => typeof dim === 'number' && dim !== expected[i]);
}

/** Whether the target itself, as far as it is known now, says another shape. */
function says({ input, given, resize }: Target, expected: Shape): boolean {
  const known = resize.c.known(input);
  if (!known) return false;
  const shift = expected.length - known.length;
  return known.some((dim, i) => {
    const [wanted, before] = [expected[i + shift], given?.[i]];
    // A quotient of a size that is cut may have become 0, which a Reshape reads as a copy.
    const isSaid = typeof before === 'number' ? before > 1 : typeof dim === 'number' && dim > 1;
    return isSaid && typeof dim === 'number' && typeof wanted === 'number' && dim !== wanted;
  });
}

function write({ node, input, given, resize }: Target, shape: Shape): boolean {
  const value = node.inputs[input];
  const length = given?.length ?? shape.length;
  const shift = shape.length - length;
  const sizes = Array.from({ length }, (_, i) => {
    const [before, after] = [given?.[i], shape[i + shift]];
    const isSaid = before === undefined || (typeof before === 'number' && before > 0);
    return isSaid && typeof after === 'number' ? after : undefined;
  });
  const isLiteral = sizes.every((size) => size !== undefined);
  if (!value || sizes.every((size) => size === undefined)) return false;
  if (isLiteral) resize.setInput(input, sizes as number[]);
  else resize.overrideInput(input, value, sizes);
  return true;
}
