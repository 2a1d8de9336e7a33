// The field numbers in src/onnx agree with the schema.

import { expect, it } from '@jest/globals';
import * as fields from '../../src/onnx/fields.ts';
import { schema } from './schema.ts';

it.each([
  ['ModelProto', fields.MODEL],
  ['OperatorSetIdProto', fields.OPSET],
  ['StringStringEntryProto', fields.ENTRY],
  ['GraphProto', fields.GRAPH],
  ['FunctionProto', fields.FUNCTION],
  ['NodeProto', fields.NODE],
  ['AttributeProto', fields.ATTRIBUTE],
  ['TensorProto', fields.TENSOR],
  ['SparseTensorProto', fields.SPARSE_TENSOR],
  ['ValueInfoProto', fields.VALUE_INFO],
  ['TypeProto', fields.TYPE],
  ['TypeProto.Tensor', fields.TENSOR_TYPE],
  ['TypeProto.SparseTensor', fields.TENSOR_TYPE],
  ['TypeProto.Sequence', fields.ELEMENT_TYPE],
  ['TypeProto.Optional', fields.ELEMENT_TYPE],
  ['TypeProto.Map', fields.MAP_TYPE],
  ['TensorShapeProto', fields.SHAPE],
  ['TensorShapeProto.Dimension', fields.DIMENSION],
])('%s', (name, ours) => {
  const { fields: theirs } = schema.lookupType(`onnx.${name}`);
  const numbers = Object.keys(ours).map((field) => [field, theirs[field]?.id]);
  expect(Object.fromEntries(numbers)).toEqual(ours);
});
