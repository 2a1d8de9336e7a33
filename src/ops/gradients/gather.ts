// Gradients of operators that pick elements by index: what comes back is added up where it was taken.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, gradients } from '../gradient.ts';

type C = GradientContext;

function zerosLikeInput(c: C, like: Value): Value {
  return c.op('Expand', [c.scalar(0, like), c.shapeOf(like)]);
}

/** dX[i] += dY at every place where index i was taken; the axis comes first for ScatterND. */
function gather(c: C): (Value | undefined)[] {
  const [x, indices] = [c.x(0), c.x(1)];
  const rank = c.rank(x);
  const given = c.node.int('axis', 0);
  const axis = given < 0 ? given + rank : given;
  const width = c.rank(indices);
  const picked = Array.from({ length: width }, (_, i) => axis + i);
  const others = Array.from({ length: rank - 1 + width }, (_, i) => i).filter(
    (i) => !picked.includes(i),
  );
  const dy = c.transpose(c.dy(), [...picked, ...others]);
  const front = [axis, ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis)];
  const zeros = c.transpose(zerosLikeInput(c, x), front);
  const places = c.op('Unsqueeze', [indices, c.ints([-1])]);
  const sum = c.op('ScatterND', [zeros, places, dy], { reduction: 'add' });
  return [
    c.transpose(
      sum,
      front.map((_, i) => front.indexOf(i)),
    ),
    undefined,
  ];
}

/** What was picked along an axis (of all elements in a row: no axis), put back; [K] indices. */
function putBack(c: C, indices: Value): Value {
  const given = c.node.int('axis');
  const x = c.x();
  const places = c.op('Unsqueeze', [indices, c.ints([-1])]);
  if (given === undefined) {
    const flat = c.op('Reshape', [zerosLikeInput(c, x), c.ints([-1])]);
    return c.reshapeLike(c.op('ScatterND', [flat, places, c.dy()]), x);
  }
  const rank = c.rank(x);
  const axis = given < 0 ? given + rank : given;
  const front = [axis, ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis)];
  const zeros = c.transpose(zerosLikeInput(c, x), front);
  const sum = c.op('ScatterND', [zeros, places, c.transpose(c.dy(), front)]);
  return c.transpose(
    sum,
    front.map((_, i) => front.indexOf(i)),
  );
}

function gatherElements(c: C): (Value | undefined)[] {
  const axis = c.node.int('axis', 0);
  const zeros = zerosLikeInput(c, c.x());
  const attrs = { axis, reduction: 'add' };
  return [c.op('ScatterElements', [zeros, c.x(1), c.dy()], attrs), undefined];
}

function gatherNd(c: C): (Value | undefined)[] {
  if (c.node.int('batch_dims', 0) !== 0) return c.unsupported('GatherND with batch_dims');
  const sum = c.op('ScatterND', [zerosLikeInput(c, c.x()), c.x(1), c.dy()], { reduction: 'add' });
  return [sum, undefined];
}

/** What was overwritten gets nothing; what was written, or added, gets what stands there. */
function scatter(take: (c: C) => Value, overwrite: (c: C, zeros: Value) => Value) {
  return (c: C): (Value | undefined)[] => {
    const reduction = c.node.string('reduction', 'none');
    if (reduction !== 'none' && reduction !== 'add') {
      return c.unsupported(`${c.node.op} with reduction "${reduction}"`);
    }
    const zeros = () => c.op('Expand', [c.scalar(0, c.x(2)), c.shapeOf(c.x(2))]);
    return [
      c.when(0, () => (reduction === 'add' ? c.dy() : overwrite(c, zeros()))),
      undefined,
      c.when(2, () => take(c)),
    ];
  };
}

gradients({
  Gather: gather,
  Compress: (c) => [putBack(c, c.op('Squeeze', [c.op('NonZero', [c.x(1)]), c.ints([0])]))],
  // Of equal elements the first one is taken.
  Unique: (c) => [putBack(c, c.extraOutput(1, 'indices'))],
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: scatter(
    (c) => c.op('GatherElements', [c.dy(), c.x(1)], { axis: c.node.int('axis', 0) }),
    (c, zeros) => c.op('ScatterElements', [c.dy(), c.x(1), zeros], { axis: c.node.int('axis', 0) }),
  ),
  ScatterND: scatter(
    (c) => c.op('GatherND', [c.dy(), c.x(1)]),
    (c, zeros) => c.op('ScatterND', [c.dy(), c.x(1), zeros]),
  ),
  // Only the values flow; their indices say where they were.
  TopK: (c) => {
    const axis = c.node.int('axis', -1);
    const zeros = zerosLikeInput(c, c.x());
    const attrs = { axis, reduction: 'add' };
    return [c.op('ScatterElements', [zeros, c.y(1), c.dy()], attrs), undefined];
  },
});
