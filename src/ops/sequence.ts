// Sequences and optionals. A sequence's element type is what all its elements have in common.

import {
  type Dim,
  type Shape,
  sameDim,
  type Type,
  tensorType,
  unknownDim,
} from '../graph/index.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, tensor } from './op.ts';

const FLOAT = 1;

/** What holds for a value that has one type or the other. */
export function unionType(a: Type | undefined, b: Type | undefined): Type | undefined {
  if (!a || !b) return undefined;
  if (a.kind === 'tensor' && b.kind === 'tensor') {
    return tensorType(a.dtype === b.dtype ? a.dtype : undefined, unionShape(a.shape, b.shape));
  }
  if (a.kind === 'sequence' && b.kind === 'sequence') {
    return { kind: 'sequence', element: unionType(a.element, b.element) };
  }
  if (a.kind === 'optional' || b.kind === 'optional') {
    const inner = (type: Type) => (type.kind === 'optional' ? type.element : type);
    return { kind: 'optional', element: unionType(inner(a), inner(b)) };
  }
  return a.kind === b.kind ? a : undefined;
}

function unionShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length !== b.length) return undefined;
  return a.map((dim, i) => (sameDim(dim, b[i] as Dim) ? dim : unknownDim()));
}

function elementOf(c: InferContext, index = 0): Type | undefined {
  const type = c.type(index);
  return type?.kind === 'sequence' ? type.element : undefined;
}

function sequence(element: Type | undefined): Inferred[] {
  return [{ type: { kind: 'sequence', element } }];
}

/** Pieces of a tensor along an axis: by a number, by a list, or one by one. */
function pieceType(c: InferContext): Type | undefined {
  const x = c.shape(0);
  if (!x) return tensorType(c.dtype(0), undefined);
  const axis = c.axis(c.node.int('axis', 0), x.length);
  const dims = [...x];
  if (c.has(1)) dims[axis] = pieceSize(c, x[axis] as Dim);
  else if (c.node.int('keepdims', 1) === 1) dims[axis] = 1;
  else dims.splice(axis, 1);
  return tensorType(c.dtype(0), dims);
}

function pieceSize(c: InferContext, size: Dim): Dim {
  const split = c.known(1);
  const first = split?.[0];
  if (first === undefined) return unknownDim();
  const isList = c.rank(1) === 1;
  if (isList) return split?.every((dim) => sameDim(dim, first)) ? first : unknownDim();
  const isWhole = typeof size === 'number' && typeof first === 'number' && size % first === 0;
  return isWhole ? first : unknownDim();
}

/** Elements joined along an axis, or stacked along a new one. */
function joined(c: InferContext): Inferred {
  const element = elementOf(c);
  if (element?.kind !== 'tensor') return tensor(undefined, undefined);
  const { dtype, shape } = element;
  if (!shape) return tensor(dtype, undefined);
  const isNew = c.node.int('new_axis', 0) === 1;
  const axis = c.axis(c.node.int('axis', 0), shape.length + (isNew ? 1 : 0));
  const tail = shape.slice(isNew ? axis : axis + 1);
  return tensor(dtype, [...shape.slice(0, axis), unknownDim(), ...tail]);
}

function emptyElement(c: InferContext): DType | undefined {
  return dtypeOf(c.node.int('dtype', FLOAT));
}

function optionalType(c: InferContext): Type {
  const given = c.node.attrs.get('type');
  const declared = given?.type === 'type' ? given.value : undefined;
  return { kind: 'optional', element: c.type(0) ?? declared };
}

const none = () => 0;

define(
  {
    op: 'SequenceConstruct',
    infer: (c) => sequence(c.node.inputs.map((value) => value?.type).reduce(unionType)),
    cost: none,
  },
  {
    op: 'SequenceEmpty',
    infer: (c) => sequence(tensorType(emptyElement(c), undefined)),
    cost: none,
  },
  {
    op: 'SequenceInsert',
    infer: (c) => sequence(unionType(elementOf(c), c.type(1))),
    cost: none,
  },
  { op: 'SequenceErase', infer: (c) => sequence(elementOf(c)), cost: none },
  { op: 'SequenceAt', infer: (c) => [{ type: elementOf(c) }], cost: none },
  { op: 'SequenceLength', infer: () => [tensor('int64', [])], cost: none },
  { op: 'SplitToSequence', infer: (c) => sequence(pieceType(c)), cost: none },
  { op: 'ConcatFromSequence', infer: (c) => [joined(c)], cost: none },
  { op: 'Optional', infer: (c) => [{ type: optionalType(c) }], cost: none },
  { op: 'OptionalHasElement', infer: () => [tensor('bool', [])], cost: none },
  {
    op: 'OptionalGetElement',
    infer(c) {
      const type = c.type(0);
      return [{ type: type?.kind === 'optional' ? type.element : type }];
    },
    cost: none,
  },
);
