// Nodes that hand their input on unchanged: one row per operator says when it does.

import { type Node, sameShape, type Value } from '../../graph/index.ts';
import { dtypeOf } from '../../tensor/dtype.ts';
import { constant, intsOf, normalAxes, numbers, producer } from '../match.ts';
import { type Pass, rewrite, skip } from '../pass.ts';

/** The value that output 0 always equals; undefined where the node does something. */
type Rule = (node: Node) => Value | undefined;

/** Whether type and shape of output and input are known to be the same. */
function keepsType(node: Node, input: Value | undefined): input is Value {
  const { shape, dtype } = node.output;
  if (!input?.shape || !shape || input.dtype === undefined || input.dtype !== dtype) return false;
  return sameShape(input.shape, shape);
}

/** The other operand of a neutral element, where broadcasting does not widen it. */
function neutral(node: Node, element: number, sides: readonly number[]): Value | undefined {
  for (const side of sides) {
    const other = node.input(1 - side);
    if (isAll(node.input(side), element) && keepsType(node, other)) return other;
  }
  return undefined;
}

function isAll(value: Value | undefined, element: number): boolean {
  if (!value || (constant(value)?.size ?? 0) === 0) return false;
  return numbers(value)?.every((x) => x === element) ?? false;
}

const shapeOnly: Rule = (node) => (keepsType(node, node.input(0)) ? node.input(0) : undefined);
const single: Rule = (node) => (present(node).length === 1 ? present(node)[0] : undefined);

function present(node: Node): Value[] {
  return node.inputs.filter((value) => value !== undefined);
}

type Rules = Readonly<Record<string, Rule>>;

/** What depends on the numbers of a constant, which training would change. */
const NEUTRAL: Rules = {
  Add: (node) => neutral(node, 0, [0, 1]),
  Sub: (node) => neutral(node, 0, [1]),
  Mul: (node) => neutral(node, 1, [0, 1]),
  Div: (node) => neutral(node, 1, [1]),
  Pow: (node) => neutral(node, 1, [1]),
};

/** What does nothing in inference only; with training_mode its mask is drawn. */
const DROPOUT: Rules = {
  Dropout: (node) => {
    const training = node.input(2);
    const off = !training || numbers(training)?.[0] === 0;
    const maskUnused = (node.outputs[1]?.uses.length ?? 0) === 0;
    return off && maskUnused && node.int('is_test', 1) === 1 ? node.input(0) : undefined;
  },
};

const SHAPES: Rules = {
  Identity: (node) => node.input(0),
  Cast: (node) => {
    const [x] = node.inputs;
    const target = dtypeOf(node.int('to', 0));
    return target !== undefined && x?.dtype === target ? x : undefined;
  },
  CastLike: (node) => (keepsType(node, node.input(0)) ? node.input(0) : undefined),
  Reshape: shapeOnly,
  Flatten: shapeOnly,
  Squeeze: shapeOnly,
  Unsqueeze: shapeOnly,
  Expand: shapeOnly,
  Tile: (node) => (intsOf(node, 'repeats', 1)?.every((n) => n === 1) ? node.input(0) : undefined),
  Pad: (node) => {
    const pads = node.ints('pads') ?? node.ints('paddings') ?? intsOf(node, '', 1);
    return pads?.every((n) => n === 0) ? node.input(0) : undefined;
  },
  Slice: (node) => {
    const steps = node.input(4) ? intsOf(node, '', 4) : [];
    return steps?.every((n) => n === 1) && keepsType(node, node.input(0))
      ? node.input(0)
      : undefined;
  },
  Transpose: (node) => {
    const rank = node.input(0)?.shape?.length;
    const perm = node.ints('perm');
    const identity = perm ? perm.every((axis, i) => axis === i) : rank !== undefined && rank < 2;
    return identity ? node.input(0) : undefined;
  },
  Concat: single,
  Sum: single,
  Max: single,
  Min: single,
  Mean: single,
  Split: (node) => (node.outputs.length === 1 ? shapeOnly(node) : undefined),
  Where: (node) => {
    const [condition, yes, no] = node.inputs;
    const test = numbers(condition);
    if (!test || test.length === 0) return undefined;
    const chosen = test.every((b) => b !== 0) ? yes : test.every((b) => b === 0) ? no : undefined;
    return keepsType(node, chosen) ? chosen : undefined;
  },
  Abs: again,
  Ceil: again,
  Floor: again,
  Round: again,
  Sign: again,
  Neg: undoes('Neg'),
  Not: undoes('Not'),
  Resize: (node) => (isPlainResize(node) ? node.input(0) : undefined),
  Upsample: (node) => (isPlainResize(node) ? node.input(0) : undefined),
  MaxPool: (node) => (isUnitPool(node) ? node.input(0) : undefined),
  AveragePool: (node) => (isUnitPool(node) ? node.input(0) : undefined),
  ReduceSum: unitReduction,
  ReduceMean: unitReduction,
  ReduceMax: unitReduction,
  ReduceMin: unitReduction,
  ReduceProd: unitReduction,
};

/** A second node of the same kind changes nothing more. */
function again(node: Node): Value | undefined {
  return producer(node.input(0), node.op) ? node.input(0) : undefined;
}

/** A second node of the same kind takes the first one back. */
function undoes(op: string): Rule {
  return (node) => {
    return producer(node.input(0), op)?.input(0);
  };
}

/**
 * Every coordinate mode maps equal sizes onto themselves, but for a cut-out, symmetric scaling, and
 * the one that shifts by half a pixel. A scale near 1 may give equal sizes and yet move pixels.
 */
function isPlainResize(node: Node): boolean {
  const mode = node.string('coordinate_transformation_mode', 'half_pixel');
  const moves = ['tf_crop_and_resize', 'half_pixel_symmetric', 'tf_half_pixel_for_nn'];
  if (moves.includes(mode) || !keepsType(node, node.input(0))) return false;
  const isNew = node.inputs.length > 2 || node.op === 'Upsample';
  const scales = node.input(isNew && node.op === 'Resize' ? 2 : 1);
  const given = node.floats('scales') ?? (scales && numbers(scales));
  if (given && given.length > 0) return given.every((scale) => scale === 1);
  return node.input(3) !== undefined;
}

function isUnitPool(node: Node): boolean {
  const ones = (name: string) => node.ints(name)?.every((n) => n === 1) ?? true;
  const noPads = node.ints('pads')?.every((n) => n === 0) ?? true;
  const onlyValues = (node.outputs[1]?.uses.length ?? 0) === 0;
  return ones('kernel_shape') && ones('strides') && noPads && onlyValues;
}

/** A reduction over axes of size 1 that stay. */
function unitReduction(node: Node): Value | undefined {
  const [x] = node.inputs;
  const axes = intsOf(node, 'axes', 1);
  if (!x?.shape || !axes || axes.length === 0 || !keepsType(node, x)) return undefined;
  return normalAxes(axes, x.shape.length).every((axis) => x.shape?.[axis] === 1) ? x : undefined;
}

const RULES: Rules = { ...SHAPES, ...DROPOUT, ...NEUTRAL };

function passOf(rules: Rules): Pass {
  return rewrite({
    name: 'drop-identity',
    summary: 'Removes nodes that hand their input on unchanged',
    on: Object.keys(rules),
    apply(node, { graph }) {
      const same = rules[node.op]?.(node);
      const { output } = node;
      const others = node.outputs.filter((value) => value !== output);
      if (!same || others.some((value) => graph.outputs.includes(value))) return undefined;
      if (!graph.canReplace(output, same))
        return skip(`"${output.name}" is a graph output that cannot be renamed`);
      // What the file declared for the input may say less than what the node is known to make.
      if (same.shape === undefined && output.type) same.type = output.type;
      graph.replace(output, same);
      graph.remove(node);
      return true;
    },
  });
}

export default passOf(RULES);

/** For graphs that are still to be trained: zeros that are added, ones that scale, and Dropout stay. */
export const dropIdentityBesideWeights = passOf(SHAPES);
