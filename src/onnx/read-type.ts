// TypeProto to Type.

import { modelTooDeep } from '../errors/model.ts';
import { type Dim, type Shape, type Type, unknownDim } from '../graph/index.ts';
import { dtypeOf } from '../tensor/dtype.ts';
import { checkRank } from './budget.ts';
import {
  DIMENSION,
  ELEMENT_TYPE,
  MAP_TYPE,
  SHAPE,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from './fields.ts';
import { parseDim } from './parse-dim.ts';
import {
  BYTES,
  type Field,
  MAX_DEPTH,
  readInt,
  readNumber,
  readText,
  Scanner,
  type Span,
  VARINT,
} from './wire.ts';

export interface ValueInfo {
  readonly field: Field;
  readonly name: string;
  readonly type: Type | undefined;
}

export function readValueInfo(field: Field): ValueInfo {
  let name = '';
  let type: Type | undefined;
  const scan = new Scanner(field, 'ValueInfoProto');
  while (scan.next()) {
    if (scan.number === VALUE_INFO.name) {
      scan.expect(BYTES);
      name = readText(scan);
    } else if (scan.number === VALUE_INFO.type) {
      scan.expect(BYTES);
      type = readType(scan);
    }
  }
  return { field, name, type };
}

/** undefined for kinds that xform does not know; the last of several counts, as in any oneof. */
export function readType(span: Span, depth = 0): Type | undefined {
  if (depth > MAX_DEPTH) throw modelTooDeep(MAX_DEPTH, `${span.source.label}, byte ${span.start}`);
  let type: Type | undefined;
  const scan = new Scanner(span, 'TypeProto');
  while (scan.next()) {
    if (scan.wire !== BYTES) continue;
    switch (scan.number) {
      case TYPE.tensor_type:
        type = { kind: 'tensor', ...readTensorType(scan) };
        break;
      case TYPE.sparse_tensor_type:
        type = { kind: 'sparse', ...readTensorType(scan) };
        break;
      case TYPE.sequence_type:
        type = { kind: 'sequence', element: readElementType(scan, depth) };
        break;
      case TYPE.optional_type:
        type = { kind: 'optional', element: readElementType(scan, depth) };
        break;
      case TYPE.map_type:
        type = readMapType(scan, depth);
        break;
    }
  }
  return type;
}

function readTensorType(span: Span) {
  let dtype: ReturnType<typeof dtypeOf>;
  let shape: Shape | undefined;
  const scan = new Scanner(span, 'TypeProto.Tensor');
  while (scan.next()) {
    if (scan.number === TENSOR_TYPE.elem_type) {
      scan.expect(VARINT);
      dtype = dtypeOf(readNumber(scan));
    } else if (scan.number === TENSOR_TYPE.shape) {
      scan.expect(BYTES);
      shape = readShape(scan);
    }
  }
  return { dtype, shape };
}

function readShape(span: Span): Shape {
  const dims: Dim[] = [];
  const scan = new Scanner(span, 'TensorShapeProto');
  while (scan.next()) {
    if (scan.number !== SHAPE.dim) continue;
    scan.expect(BYTES);
    dims.push(readDim(scan));
    checkRank(dims.length, scan);
  }
  return dims;
}

function readDim(span: Span): Dim {
  let dim: Dim | undefined;
  const scan = new Scanner(span, 'TensorShapeProto.Dimension');
  while (scan.next()) {
    if (scan.number === DIMENSION.dim_value) {
      scan.expect(VARINT);
      const value = readInt(scan);
      // Some exporters write -1 for "unknown".
      dim = typeof value === 'number' && value >= 0 ? value : undefined;
    } else if (scan.number === DIMENSION.dim_param) {
      scan.expect(BYTES);
      dim = parseDim(readText(scan));
    }
  }
  return dim ?? unknownDim();
}

function readElementType(span: Span, depth: number): Type | undefined {
  let element: Type | undefined;
  const scan = new Scanner(span, 'TypeProto.Sequence');
  while (scan.next()) {
    if (scan.number !== ELEMENT_TYPE.elem_type) continue;
    scan.expect(BYTES);
    element = readType(scan, depth + 1);
  }
  return element;
}

function readMapType(span: Span, depth: number): Type {
  let key: ReturnType<typeof dtypeOf>;
  let value: Type | undefined;
  const scan = new Scanner(span, 'TypeProto.Map');
  while (scan.next()) {
    if (scan.number === MAP_TYPE.key_type) {
      scan.expect(VARINT);
      key = dtypeOf(readNumber(scan));
    } else if (scan.number === MAP_TYPE.value_type) {
      scan.expect(BYTES);
      value = readType(scan, depth + 1);
    }
  }
  return { kind: 'map', key, value };
}
