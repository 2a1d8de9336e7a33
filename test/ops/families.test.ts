// Operators whose variants the node tests leave out: older opsets, optional outputs, layouts, and
// ai.onnx.ml. What onnxruntime returns is the measure.

import { describe, test } from '@jest/globals';
import { attr } from '../../src/graph/index.ts';
import { type Case, constant, expectSameTypes, fed, float, index } from './one-node.ts';

const ml = (op: string, inputs: Case['inputs'], attrs: Case['attrs'] = {}, outputs = 1): Case => ({
  op,
  domain: 'ai.onnx.ml',
  inputs,
  attrs,
  outputs: new Array<boolean>(outputs).fill(true),
});

/** One tree of a single split, two leaves; `leaf` names the attributes of what the leaves give. */
const stump = (leaf: string) => ({
  nodes_treeids: [0, 0, 0],
  nodes_nodeids: [0, 1, 2],
  nodes_featureids: [1, 0, 0],
  nodes_values: attr.floats([0.5, 0, 0]),
  nodes_modes: ['BRANCH_LEQ', 'LEAF', 'LEAF'],
  nodes_truenodeids: [1, 0, 0],
  nodes_falsenodeids: [2, 0, 0],
  [`${leaf}_treeids`]: [0, 0],
  [`${leaf}_nodeids`]: [1, 2],
  [`${leaf}_ids`]: [0, 1],
  [`${leaf}_weights`]: attr.floats([1, 2]),
});

const ML: readonly Case[] = [
  ml(
    'TreeEnsembleClassifier',
    [float(5, 3)],
    { ...stump('class'), classlabels_int64s: [7, 8, 9] },
    2,
  ),
  ml(
    'TreeEnsembleClassifier',
    [float(5, 3)],
    { ...stump('class'), classlabels_strings: ['a', 'b'] },
    2,
  ),
  ml('TreeEnsembleRegressor', [float(5, 3)], { ...stump('target'), n_targets: 2 }),
  ml(
    'LinearClassifier',
    [float(5, 3)],
    {
      coefficients: attr.floats([1, 2, 3, 4, 5, 6]),
      intercepts: attr.floats([0, 1]),
      classlabels_ints: [3, 4],
    },
    2,
  ),
  ml(
    'LinearClassifier',
    [float(5, 3)],
    {
      coefficients: attr.floats([1, 2, 3]),
      intercepts: attr.floats([0]),
      classlabels_ints: [0, 1],
      post_transform: 'LOGISTIC',
    },
    2,
  ),
  ml('LinearRegressor', [float(5, 3)], {
    coefficients: attr.floats([1, 2, 3, 4, 5, 6]),
    intercepts: attr.floats([0, 1]),
    targets: 2,
  }),
  ml('SVMRegressor', [float(5, 2)], {
    coefficients: attr.floats([1, -1]),
    support_vectors: attr.floats([1, 2, 3, 4]),
    n_supports: 2,
    rho: attr.floats([0.5]),
    kernel_type: 'RBF',
    kernel_params: attr.floats([0.5, 0, 0]),
  }),
  ml(
    'SVMClassifier',
    [float(5, 2)],
    {
      coefficients: attr.floats([1, -1, 1, 1, -1, 1]),
      support_vectors: attr.floats([1, 2, 3, 4, 5, 6]),
      vectors_per_class: [1, 1, 1],
      rho: attr.floats([0.5, 0.1, 0.2]),
      classlabels_ints: [0, 1, 2],
      kernel_type: 'RBF',
      kernel_params: attr.floats([0.5, 0, 0]),
    },
    2,
  ),
  ml('Normalizer', [float(5, 3)], { norm: 'L2' }),
  ml('Scaler', [float(5, 3)], { scale: attr.floats([2]), offset: attr.floats([1]) }),
  ml('OneHotEncoder', [index(3, 'int64', 5, 2)], { cats_int64s: [0, 1, 2] }),
  ml('LabelEncoder', [index(3, 'int64', 5)], {
    keys_int64s: [0, 1],
    values_floats: attr.floats([0.5, 1]),
  }),
  ml('LabelEncoder', [index(3, 'int64', 5)], { keys_int64s: [0, 1], values_strings: ['a', 'b'] }),
  ml('CategoryMapper', [index(3, 'int64', 5)], { cats_int64s: [0, 1], cats_strings: ['a', 'b'] }),
  ml('ArrayFeatureExtractor', [float(5, 4), constant('int64', [1, 2], 0, 3)]),
  ml('ArrayFeatureExtractor', [float(4), constant('int64', [2], 0, 3)]),
  ml('Binarizer', [float(5, 3)], { threshold: attr.float(0.5) }),
  ml('Imputer', [float(5, 3)], {
    imputed_value_floats: attr.floats([0]),
    replaced_value_float: attr.float(1),
  }),
  ml('FeatureVectorizer', [float(5, 2), float(5, 3)], { inputdimensions: [2, 3] }),
];

const rnn = (gates: number, layout: number) => [
  layout ? float(2, 7, 4) : float(7, 2, 4),
  float(2, gates * 3, 4),
  float(2, gates * 3, 3),
];
const both = { hidden_size: 3, direction: 'bidirectional' };
const norm = [float(4), float(4), float(4), constant('float32', [4], 1, 2, 3, 4)];

const VARIANTS: readonly Case[] = [
  { op: 'LSTM', inputs: rnn(4, 0), attrs: both, outputs: [true, true, true] },
  { op: 'GRU', inputs: rnn(3, 0), attrs: both, outputs: [false, true] },
  { op: 'RNN', inputs: rnn(1, 0), attrs: { ...both, activations: ['Tanh', 'Relu'] } },
  { op: 'BatchNormalization', opset: 7, inputs: [float(2, 4, 5), ...norm] },
  { op: 'BatchNormalization', opset: 9, inputs: [float(2, 4, 5, 6), ...norm] },
  {
    op: 'BatchNormalization',
    opset: 15,
    inputs: [float(2, 4, 5), ...norm],
    attrs: { training_mode: 1 },
    outputs: [true, true, true],
  },
  {
    op: 'LayerNormalization',
    inputs: [float(2, 3, 4, 5), float(4, 5)],
    attrs: { axis: 2 },
    outputs: [true, true, true],
  },
  { op: 'Dropout', opset: 9, inputs: [float(2, 3)] },
  { op: 'Dropout', opset: 13, inputs: [float(2, 3)], outputs: [true, true] },
  { op: 'QuantizeLinear', inputs: [float(2, 3), constant('float32', [], 0.1)] },
  {
    op: 'QuantizeLinear',
    opset: 21,
    inputs: [float(2, 3), constant('float32', [], 0.1)],
    attrs: { output_dtype: 5 },
  },
  {
    op: 'DequantizeLinear',
    opset: 21,
    inputs: [index(9, 'int8', 4, 6), constant('float32', [4, 2], ...new Array<number>(8).fill(1))],
    attrs: { axis: 1, block_size: 3 },
  },
  { op: 'DFT', inputs: [float(2, 9, 1)], attrs: { onesided: 1, axis: 1 } },
  {
    op: 'DFT',
    opset: 20,
    inputs: [float(2, 9, 5, 2), constant('int64', [], 12), constant('int64', [], 1)],
  },
  {
    op: 'STFT',
    inputs: [float(2, 40, 1), constant('int64', [], 7), undefined, constant('int64', [], 16)],
  },
  { op: 'HannWindow', inputs: [constant('int64', [], 10)], attrs: { output_datatype: 11 } },
  {
    op: 'MelWeightMatrix',
    inputs: [
      constant('int64', [], 8),
      constant('int64', [], 16),
      constant('int64', [], 8192),
      constant('float32', [], 0),
      constant('float32', [], 4096),
    ],
  },
  { op: 'Multinomial', inputs: [float(2, 5)], attrs: { sample_size: 4, dtype: 7 } },
  { op: 'RandomNormalLike', inputs: [fed('int32', 2, 3)], attrs: { dtype: 11 } },
  {
    op: 'SoftmaxCrossEntropyLoss',
    inputs: [float(4, 5, 3), index(5, 'int64', 4, 3)],
    attrs: { reduction: 'none' },
    outputs: [true, true],
  },
  { op: 'NegativeLogLikelihoodLoss', inputs: [float(4, 5), index(5, 'int64', 4)] },
  {
    op: 'Attention',
    opset: 23,
    inputs: [float(2, 5, 24), float(2, 7, 12), float(2, 7, 16)],
    attrs: { q_num_heads: 4, kv_num_heads: 2 },
    outputs: [true, true, true],
  },
  {
    op: 'Attention',
    opset: 23,
    inputs: [
      ...[float(2, 4, 1, 8), float(2, 2, 1, 8), float(2, 2, 1, 8), undefined],
      ...[float(2, 2, 6, 8), float(2, 2, 6, 8)],
    ],
    outputs: [true, true, true],
  },
  { op: 'AffineGrid', opset: 20, inputs: [float(2, 2, 3), constant('int64', [4], 2, 3, 5, 6)] },
  {
    op: 'Col2Im',
    opset: 18,
    inputs: [float(1, 20, 16), constant('int64', [2], 5, 5), constant('int64', [2], 2, 2)],
    attrs: { pads: [0, 0, 0, 0], strides: [1, 1] },
  },
  {
    op: 'ImageScaler',
    opset: 7,
    inputs: [float(1, 3, 4, 4)],
    attrs: { bias: attr.floats([0, 0, 0]) },
  },
  { op: 'Crop', opset: 7, inputs: [float(1, 3, 9, 9)], attrs: { border: [1, 2, 3, 1] } },
];

const rows = (cases: readonly Case[]) => cases.map((item, i) => [`${item.op} ${i}`, item] as const);

describe('ai.onnx.ml', () => {
  test.each(rows(ML))('%s', async (_, item) => expectSameTypes(item));
});

describe('variants of standard operators', () => {
  test.each(rows(VARIANTS))('%s', async (_, item) => expectSameTypes(item));
});
