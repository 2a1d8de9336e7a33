// Type to TypeProto, and the declarations of values.

import { type Dim, isUnknown, type Shape, sameDim, type Type, type Value } from '../graph/index.ts';
import { type DType, dtypeCode } from '../tensor/dtype.ts';
import {
  DIMENSION,
  ELEMENT_TYPE,
  MAP_TYPE,
  SHAPE,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from './fields.ts';
import { assemble, type Message, Shell } from './message.ts';
import { ValueOrigin } from './origin.ts';
import type { Field } from './wire.ts';

/** A ValueInfoProto: as it was read while name and type are what they were. */
export function writeValueInfo(
  message: Message,
  number: number,
  value: Value,
  field: Field | undefined,
): void {
  const origin = value.origin instanceof ValueOrigin ? value.origin : undefined;
  const { type } = value;
  const isSameType = origin !== undefined && sameType(origin.type, type);
  if (field && isSameType && origin.name === value.name) {
    message.copy(field, number);
    return;
  }
  const shell = Shell.of(field, 'ValueInfoProto');
  const isTyped = type !== undefined && !(field && isSameType);
  message.message(number, (info) =>
    assemble(info, shell, {
      [VALUE_INFO.name]: (m) => m.text(VALUE_INFO.name, value.name),
      ...(isTyped && {
        [VALUE_INFO.type]: (m: Message) => writeType(m, VALUE_INFO.type, type, shell),
      }),
    }),
  );
}

/** Equal but for unknown sizes, of which no two are the same. */
export function sameType(a: Type | undefined, b: Type | undefined): boolean {
  if (a === b) return true;
  if (!a || !b || a.kind !== b.kind) return false;
  if ((a.kind === 'tensor' || a.kind === 'sparse') && a.kind === b.kind) {
    return a.dtype === b.dtype && sameSizes(a.shape, b.shape);
  }
  if (a.kind === 'map' && b.kind === 'map') return a.key === b.key && sameType(a.value, b.value);
  return 'element' in a && 'element' in b && sameType(a.element, b.element);
}

function sameSizes(a: Shape | undefined, b: Shape | undefined): boolean {
  if (!a || !b) return a === b;
  return (
    a.length === b.length &&
    a.every((dim, i) => {
      const other = b[i] as Dim;
      return sameDim(dim, other) || (isUnknown(dim) && isUnknown(other));
    })
  );
}

/** Keeps the denotation of the type that stood there. */
export function writeType(message: Message, number: number, type: Type, around?: Shell): void {
  const shell = Shell.of(around?.last(number), 'TypeProto');
  message.message(number, (m) => {
    const kind = KIND_FIELD[type.kind];
    const others = Object.values(KIND_FIELD).filter((n) => n !== kind);
    assemble(m, shell, {
      // One kind takes the place of another.
      ...Object.fromEntries(others.map((n) => [n, () => {}])),
      [kind]: (t) => writeKind(t, type, shell),
    });
  });
}

const KIND_FIELD: Readonly<Record<Type['kind'], number>> = {
  tensor: TYPE.tensor_type,
  sparse: TYPE.sparse_tensor_type,
  sequence: TYPE.sequence_type,
  optional: TYPE.optional_type,
  map: TYPE.map_type,
};

function writeKind(message: Message, type: Type, around: Shell): void {
  const number = KIND_FIELD[type.kind];
  const shell = Shell.of(around.last(number), 'TypeProto');
  message.message(number, (m) => {
    if (type.kind === 'tensor' || type.kind === 'sparse') {
      writeTensorType(m, type.dtype, type.shape, shell);
    } else if (type.kind === 'map') {
      const { key, value } = type;
      assemble(m, shell, {
        ...(key && {
          [MAP_TYPE.key_type]: (x: Message) => x.int(MAP_TYPE.key_type, dtypeCode(key)),
        }),
        ...(value && {
          [MAP_TYPE.value_type]: (x: Message) => writeType(x, MAP_TYPE.value_type, value, shell),
        }),
      });
    } else if (type.element) writeType(m, ELEMENT_TYPE.elem_type, type.element, shell);
  });
}

function writeTensorType(
  message: Message,
  dtype: DType | undefined,
  shape: Shape | undefined,
  shell: Shell,
): void {
  const old = Shell.of(shell.last(TENSOR_TYPE.shape), 'TensorShapeProto').all(SHAPE.dim);
  assemble(message, shell, {
    ...(dtype && {
      [TENSOR_TYPE.elem_type]: (m: Message) => m.int(TENSOR_TYPE.elem_type, dtypeCode(dtype)),
    }),
    [TENSOR_TYPE.shape]: (m) => {
      if (!shape) return;
      m.message(TENSOR_TYPE.shape, (s) => {
        // Axes that became more or fewer have lost their meaning.
        shape.forEach((dim, i) => {
          writeDim(s, dim, old.length === shape.length ? old[i] : undefined);
        });
      });
    },
  });
}

function writeDim(message: Message, dim: Dim, old: Field | undefined): void {
  const denotation = Shell.of(old, 'TensorShapeProto.Dimension').last(DIMENSION.denotation);
  message.message(SHAPE.dim, (m) => {
    if (typeof dim === 'number') m.int(DIMENSION.dim_value, dim);
    else if (!isUnknown(dim)) m.text(DIMENSION.dim_param, String(dim));
    if (denotation) m.copy(denotation);
  });
}
