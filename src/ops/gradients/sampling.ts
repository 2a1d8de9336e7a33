// Gradients of sampling an image [N, C, H, W] at the places of a grid [N, h, w, 2] (Jaderberg et al.
// 2015; ONNX specification, GridSample and AffineGrid). P = h · w places.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, gradients, UnknownShape } from '../gradient.ts';

type C = GradientContext;

interface Axis {
  readonly size: number;
  /** Places in elements of the axis, [N, P]; how many of them one unit of the grid is. */
  readonly at: Value;
  readonly perUnit: number;
  /** Whether the place moves with the grid: not where it was pulled back to the border. */
  readonly moves: Value | undefined;
}

/** One of the elements around each place. */
interface Neighbour {
  /** Flat element [N, 1, P], its weight there, and whether it lies in the image. */
  readonly index: Value;
  readonly weights: readonly [Value, Value];
  readonly signs: readonly [number, number];
  readonly inside: Value | undefined;
}

function staticOf(c: C, value: Value): readonly number[] {
  const shape = c.staticShape(value);
  if (!shape) throw new UnknownShape(value);
  return shape;
}

function axisOf(c: C, grid: Value, column: number, size: number, places: readonly number[]): Axis {
  const [n = 1, count = 1] = places;
  const unit = c.op('Gather', [grid, c.int(column)], { axis: -1 });
  const flat = c.op('Reshape', [unit, c.ints([n, count])]);
  const isAligned = c.node.int('align_corners', 0) === 1;
  const perUnit = isAligned ? (size - 1) / 2 : size / 2;
  const shifted = c.add(c.scale(flat, perUnit), c.scalar((size - 1) / 2, flat));
  if (c.node.string('padding_mode', 'zeros') !== 'border') {
    return { size, at: shifted, perUnit, moves: undefined };
  }
  const [low, high] = [c.scalar(0, flat), c.scalar(size - 1, flat)];
  const at = c.op('Min', [c.op('Max', [shifted, low]), high]);
  return { size, at, perUnit, moves: c.mask(c.op('Equal', [at, shifted]), flat) };
}

/** The four elements around each place; along an axis the nearer one weighs more. */
function neighbours(c: C, x: Axis, y: Axis): Neighbour[] {
  const ends = [x, y].map((axis) => {
    const low = c.op('Floor', [axis.at]);
    const part = c.sub(axis.at, low);
    return [
      { place: low, weight: c.sub(c.scalar(1, part), part), sign: -1 },
      { place: c.add(low, c.scalar(1, low)), weight: part, sign: 1 },
    ] as const;
  });
  const [columns = [], rows = []] = ends;
  return rows.flatMap((row) =>
    columns.map((column): Neighbour => {
      const [cx, cy] = [clamped(c, column.place, x.size), clamped(c, row.place, y.size)];
      const flat = c.add(c.scale(cy, x.size), cx);
      const isIn = c.op('And', [c.op('Equal', [cx, column.place]), c.op('Equal', [cy, row.place])]);
      return {
        index: c.op('Unsqueeze', [c.op('Cast', [flat], { to: INT64 }), c.ints([1])]),
        weights: [column.weight, row.weight],
        signs: [column.sign, row.sign],
        inside: c.mask(isIn, flat),
      };
    }),
  );
}

const INT64 = 7;

function clamped(c: C, place: Value, size: number): Value {
  return c.op('Min', [c.op('Max', [place, c.scalar(0, place)]), c.scalar(size - 1, place)]);
}

function gridSample(c: C): (Value | undefined)[] {
  const mode = c.node.string('mode', 'linear');
  const padding = c.node.string('padding_mode', 'zeros');
  if (!['linear', 'bilinear'].includes(mode)) c.unsupported(`GridSample of mode "${mode}"`);
  if (padding === 'reflection') c.unsupported('GridSample that reflects at the border');
  const [image, grid] = [staticOf(c, c.x(0)), staticOf(c, c.x(1))];
  if (image.length !== 4) c.unsupported('GridSample of volumes');
  const [n = 1, channels = 1, height = 1, width = 1] = image;
  const places = (grid[1] ?? 1) * (grid[2] ?? 1);
  const x = axisOf(c, c.x(1), 0, width, [n, places]);
  const y = axisOf(c, c.x(1), 1, height, [n, places]);
  const around = neighbours(c, x, y);
  const dy = c.op('Reshape', [c.dy(), c.ints([n, channels, places])]);
  const spread = (value: Value) => c.op('Expand', [value, c.ints([n, channels, places])]);
  return [
    c.when(0, () => {
      let sum = c.op('Expand', [c.scalar(0, dy), c.ints([n, channels, height * width])]);
      for (const { index, weights, inside } of around) {
        const weight = c.op('Unsqueeze', [masked(c, c.mul(...weights), inside), c.ints([1])]);
        const part = c.mul(dy, weight);
        const attrs = { axis: 2, reduction: 'add' };
        sum = c.op('ScatterElements', [sum, spread(index), part], attrs);
      }
      return c.reshapeLike(sum, c.x(0));
    }),
    c.when(1, () => {
      const flat = c.op('Reshape', [c.x(0), c.ints([n, channels, height * width])]);
      // What each neighbour holds, weighed with what comes back.
      const held = around.map(({ index, inside }) => {
        const values = c.op('GatherElements', [flat, spread(index)], { axis: 2 });
        return masked(c, c.reduceSum(c.mul(values, dy), [1], false), inside);
      });
      const along = ([x, y] as const).map((axis, i) => {
        const parts = around.map(({ weights, signs }, k) =>
          c.scale(c.mul(held[k] as Value, weights[1 - i] as Value), signs[i] ?? 1),
        );
        const slope = c.scale(c.op('Sum', parts), axis.perUnit);
        return c.op('Unsqueeze', [masked(c, slope, axis.moves), c.ints([-1])]);
      });
      return c.reshapeLike(c.op('Concat', along, { axis: -1 }), c.x(1));
    }),
  ];
}

function masked(c: C, value: Value, mask: Value | undefined): Value {
  return mask ? c.mul(value, mask) : value;
}

/** grid = base θᵀ with base [P, d + 1] the places themselves and 1; θ [N, d, d + 1]. */
function affineGrid(c: C): (Value | undefined)[] {
  const [theta, grid] = [staticOf(c, c.x(0)), staticOf(c, c.y())];
  const [n = 1, d = 2] = theta;
  const size = c.known(1);
  if (!size) throw new UnknownShape(c.x(1));
  const eye = new Float64Array(d * (d + 1));
  for (let i = 0; i < d; i++) eye[i * (d + 1) + i] = 1;
  const places = grid.slice(1, -1).reduce((product, dim) => product * dim, 1);
  const identity = c.floats([1, d, d + 1], eye, c.dy());
  const align = { align_corners: c.node.int('align_corners', 0) };
  const own = c.op('AffineGrid', [identity, c.ints([1, ...size.slice(1)])], align);
  const flat = c.op('Reshape', [own, c.ints([places, d])]);
  const ones = c.floats([places, 1], new Float64Array(places).fill(1), c.dy());
  const base = c.op('Concat', [flat, ones], { axis: 1 });
  const dy = c.op('Reshape', [c.dy(), c.ints([n, places, d])]);
  return [c.matmul(c.transposeLast(dy), base)];
}

gradients({ GridSample: gridSample, AffineGrid: affineGrid });
