// Field numbers of the ONNX messages, named as in the specification (onnx.proto, ONNX 1.18). A test
// compares them with the schema in test/onnx/onnx.proto.

export const MODEL = {
  ir_version: 1,
  producer_name: 2,
  producer_version: 3,
  graph: 7,
  opset_import: 8,
  metadata_props: 14,
  functions: 25,
} as const;

export const OPSET = { domain: 1, version: 2 } as const;

export const ENTRY = { key: 1, value: 2 } as const;

export const GRAPH = {
  node: 1,
  name: 2,
  initializer: 5,
  input: 11,
  output: 12,
  value_info: 13,
  sparse_initializer: 15,
} as const;

export const FUNCTION = {
  name: 1,
  input: 4,
  output: 5,
  attribute: 6,
  node: 7,
  opset_import: 9,
  domain: 10,
  attribute_proto: 11,
  value_info: 12,
  overload: 13,
} as const;

export const NODE = {
  input: 1,
  output: 2,
  name: 3,
  op_type: 4,
  attribute: 5,
  domain: 7,
} as const;

export const ATTRIBUTE = {
  name: 1,
  f: 2,
  i: 3,
  s: 4,
  t: 5,
  g: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  tp: 14,
  type_protos: 15,
  type: 20,
  ref_attr_name: 21,
  sparse_tensor: 22,
  sparse_tensors: 23,
} as const;

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = {
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
  SPARSE_TENSOR: 11,
  SPARSE_TENSORS: 12,
  TYPE_PROTO: 13,
  TYPE_PROTOS: 14,
} as const;

export const TENSOR = {
  dims: 1,
  data_type: 2,
  float_data: 4,
  int32_data: 5,
  string_data: 6,
  int64_data: 7,
  name: 8,
  raw_data: 9,
  double_data: 10,
  uint64_data: 11,
  external_data: 13,
  data_location: 14,
} as const;

/** TensorProto.DataLocation. */
export const EXTERNAL = 1;

export const SPARSE_TENSOR = { values: 1 } as const;

export const VALUE_INFO = { name: 1, type: 2 } as const;

export const TYPE = {
  tensor_type: 1,
  sequence_type: 4,
  map_type: 5,
  sparse_tensor_type: 8,
  optional_type: 9,
} as const;

/** TypeProto.Tensor and TypeProto.SparseTensor. */
export const TENSOR_TYPE = { elem_type: 1, shape: 2 } as const;

/** TypeProto.Sequence and TypeProto.Optional. */
export const ELEMENT_TYPE = { elem_type: 1 } as const;

export const MAP_TYPE = { key_type: 1, value_type: 2 } as const;

export const SHAPE = { dim: 1 } as const;

export const DIMENSION = { dim_value: 1, dim_param: 2, denotation: 3 } as const;
