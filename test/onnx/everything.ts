// A model with every field that the specification has, and how to encode such a message.

import { schema } from './schema.ts';

export const entry = (key: string, value: string) => ({ key, value });
const tensorInfo = (name: string, dim: object[], more: object = {}) => ({
  name,
  type: { tensor_type: { elem_type: 1, shape: { dim } }, denotation: 'IMAGE' },
  doc_string: `about ${name}`,
  ...more,
});

/** A model with every field that the specification has, some of them empty. */
export const EVERYTHING = {
  ir_version: 10,
  producer_name: '',
  producer_version: '1',
  domain: 'org.example',
  model_version: '9007199254740993',
  doc_string: '',
  graph: {
    node: [
      {
        input: ['x', '', 'w', ''],
        output: ['h', ''],
        name: '',
        op_type: 'Custom',
        domain: 'ai.onnx',
        overload: 'o',
        doc_string: 'why',
        metadata_props: [entry('a', 'b')],
        device_configurations: [
          {
            configuration_id: 'c',
            sharding_spec: [{ tensor_name: 'h', device: [0, 1] }],
            pipeline_stage: 2,
          },
        ],
        attribute: [
          { name: 'f', type: 1, f: Number.NaN, doc_string: 'not a number' },
          { name: 'i', type: 2, i: '-9223372036854775808' },
          { name: 's', type: 3, s: Buffer.from([0xff, 0x00]) },
          { name: 'fs', type: 6, floats: [] },
          { name: 'is', type: 7, ints: ['9223372036854775807', -1] },
          { name: 'ss', type: 8, strings: [Buffer.from('a'), Buffer.from('')] },
          { name: 't', type: 4, t: { dims: [2], data_type: 16, int32_data: [16256, 1] } },
          { name: 'tp', type: 13, tp: { sequence_type: { elem_type: { opaque_type: {} } } } },
          { name: 'sp', type: 11, sparse_tensor: { dims: [3] } },
          { name: 'new', type: 99, $raw: 1 },
          { name: 'untyped', i: 3 },
        ],
      },
      {
        input: ['c'],
        output: ['y'],
        op_type: 'If',
        attribute: [
          {
            name: 'then_branch',
            type: 5,
            doc_string: 'then',
            g: {
              name: 'then',
              doc_string: 'inner',
              node: [{ input: ['h', 'inner'], output: ['r'], op_type: 'Add' }],
              initializer: [{ dims: [], data_type: 1, name: 'inner', float_data: [1] }],
              output: [tensorInfo('r', [])],
              metadata_props: [entry('k', '')],
            },
          },
        ],
      },
    ],
    name: 'main',
    initializer: [
      {
        dims: [2, 2],
        data_type: 1,
        name: 'w',
        float_data: [1, 2, 3, 4],
        doc_string: 'weights',
        segment: { begin: 0, end: 4 },
        metadata_props: [entry('m', 'n')],
      },
      { dims: [1], data_type: 77, name: 'future', raw_data: Buffer.from([1, 2]) },
      { dims: [0], data_type: 7, name: 'empty' },
      {
        dims: [2],
        data_type: 8,
        name: 'texts',
        string_data: [Buffer.from([0xc3]), Buffer.from('')],
      },
    ],
    doc_string: 'graph',
    input: [
      tensorInfo('x', [{ dim_param: 'batch*2' }, { denotation: 'C' }, { dim_value: 3 }]),
      tensorInfo('w', [{ dim_value: 2 }, { dim_value: 2 }]),
      { name: 'c' },
      { name: 'map', type: { map_type: { key_type: 8, value_type: { tensor_type: {} } } } },
      { name: 'opt', type: { optional_type: { elem_type: { tensor_type: { elem_type: 1 } } } } },
    ],
    output: [tensorInfo('y', [{}]), tensorInfo('h', [{ dim_param: '' }])],
    value_info: [
      tensorInfo('nowhere', [{ dim_value: -1 }]),
      tensorInfo('h', [{ dim_param: '12 * heads' }], { metadata_props: [entry('q', 'r')] }),
      tensorInfo('h', []),
    ],
    quantization_annotation: [
      { tensor_name: 'h', quant_parameter_tensor_names: [entry('SCALE_TENSOR', 'w')] },
    ],
    sparse_initializer: [
      {
        values: { dims: [1], data_type: 1, float_data: [5], name: 'sparse' },
        indices: { dims: [1], data_type: 7, int64_data: [1] },
        dims: [4],
      },
    ],
    metadata_props: [entry('z', '1'), entry('a', '2')],
  },
  opset_import: [
    { domain: 'ai.onnx', version: 20 },
    { domain: 'com.example', version: 1 },
    { domain: '', version: 20 },
  ],
  metadata_props: [entry('k', 'v'), entry('k', 'again'), entry('', '')],
  training_info: [{ algorithm: { name: 'step' }, update_binding: [entry('w', 'w2')] }],
  functions: [
    {
      name: 'Twice',
      domain: 'com.example',
      overload: 'float',
      input: ['a', 'b'],
      output: ['r'],
      attribute: ['alpha'],
      attribute_proto: [{ name: 'beta', type: 1, f: 0.5 }],
      node: [
        {
          input: ['a', 'a'],
          output: ['r'],
          op_type: 'Add',
          attribute: [{ name: 'alpha', type: 1, ref_attr_name: 'alpha' }],
        },
      ],
      doc_string: 'doubles',
      opset_import: [{ domain: '', version: 19 }],
      value_info: [tensorInfo('r', [])],
      metadata_props: [entry('f', 'g')],
    },
  ],
  configuration: [{ name: 'two', num_devices: 2, device: ['a', 'b'] }],
};

export function encode(message: object): Uint8Array {
  const type = schema.lookupType('onnx.ModelProto');
  return type.encode(type.fromObject(message)).finish();
}
