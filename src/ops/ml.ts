// ai.onnx.ml: classical machine learning. X [N, C], or [C] for a single sample.

import {
  type Dim,
  mul,
  product,
  type Shape,
  type Type,
  tensorType,
  unknownDim,
} from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';

const domain = 'ai.onnx.ml';

function batchOf(c: InferContext): Dim {
  const x = c.shape(0);
  if (!x) return unknownDim();
  return x.length < 2 ? 1 : (x[0] as Dim);
}

interface Labels {
  readonly dtype: DType;
  readonly count: number;
}

/** The classes, whichever attribute holds them. */
function labelsOf(c: InferContext): Labels {
  const strings = c.node.strings('classlabels_strings') ?? [];
  if (strings.length > 0) return { dtype: 'string', count: strings.length };
  const ints = c.node.ints('classlabels_int64s') ?? c.node.ints('classlabels_ints') ?? [];
  return { dtype: 'int64', count: ints.length };
}

function classified(c: InferContext, columns: Dim): Inferred[] {
  const batch = batchOf(c);
  return [tensor(labelsOf(c).dtype, [batch]), tensor('float32', [batch, columns])];
}

/** Without probabilities an SVM scores each pair of classes. */
function svmColumns(c: InferContext): Dim {
  const perClass = c.node.ints('vectors_per_class') ?? [];
  const classes = perClass.length > 0 ? perClass.length : labelsOf(c).count;
  const hasProbabilities = (c.node.floats('prob_a') ?? []).length > 0;
  if (hasProbabilities || perClass.length === 0) return classes;
  return classes > 2 ? (classes * (classes - 1)) / 2 : 2;
}

/** Elements of the first attribute that is there. */
function countOf(c: InferContext, ...names: readonly string[]): number | undefined {
  for (const name of names) {
    const list = c.node.floats(name) ?? c.node.ints(name) ?? c.node.strings(name);
    if (list && list.length > 0) return list.length;
    const tensor = c.node.tensor(name);
    if (tensor) return tensor.size;
  }
  return undefined;
}

function floats(op: string, shape: (c: InferContext) => Shape | undefined): OpSpec {
  return { op, domain, infer: (c) => [tensor('float32', shape(c))], cost: coefficientCost };
}

/** Each sample meets each coefficient once. */
function coefficientCost(c: InferContext): Dim | undefined {
  const coefficients = countOf(c, 'support_vectors') ?? countOf(c, 'coefficients');
  const { shape } = c.node.output;
  return coefficients === undefined ? shape && product(shape) : mul(batchOf(c), coefficients);
}

/** A walk through every tree takes at most its depth; balanced trees are assumed. */
function treeCost(c: InferContext): Dim | undefined {
  const trees = new Set(c.node.ints('nodes_treeids') ?? c.node.ints('tree_roots') ?? []).size;
  const nodes = countOf(c, 'nodes_treeids', 'nodes_featureids') ?? 1;
  const depth = Math.ceil(Math.log2(nodes / Math.max(1, trees) + 1));
  return mul(batchOf(c), trees * depth);
}

function same(op: string): OpSpec {
  return { op, domain, infer: (c) => [tensor(c.dtype(0), c.shape(0))] };
}

/** Integers become strings, strings integers. */
function exchanged(dtype: DType | undefined): DType | undefined {
  if (dtype === undefined) return undefined;
  return dtype === 'string' ? 'int64' : 'string';
}

/** The type of the values a LabelEncoder maps to. */
function encodedType(c: InferContext): DType | undefined {
  const values = c.node.tensor('values_tensor');
  if (values) return values.dtype;
  if (countOf(c, 'values_strings')) return 'string';
  if (countOf(c, 'values_int64s')) return 'int64';
  if (countOf(c, 'values_floats')) return 'float32';
  return exchanged(c.dtype(0));
}

/** [.., C], indices [K] → [.., K]; a vector gives [1, K]. */
function extractedShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const indices = c.shape(1);
  const count = indices ? product(indices) : unknownDim();
  if (!x) return undefined;
  return x.length === 1 ? [1, count] : [...x.slice(0, -1), count];
}

function classMaps(c: InferContext): Type {
  const value = tensorType('float32', []);
  return { kind: 'sequence', element: { kind: 'map', key: labelsOf(c).dtype, value } };
}

const CAST_TYPES: Readonly<Record<string, DType>> = {
  TO_FLOAT: 'float32',
  TO_STRING: 'string',
  TO_INT64: 'int64',
};

function mapValueType(type: Type | undefined): DType | undefined {
  const value = type?.kind === 'map' ? type.value : undefined;
  return value?.kind === 'tensor' ? value.dtype : undefined;
}

define(
  {
    op: 'TreeEnsembleClassifier',
    domain,
    infer: (c) => classified(c, labelsOf(c).count),
    cost: treeCost,
  },
  {
    op: 'TreeEnsembleRegressor',
    domain,
    infer: (c) => [tensor('float32', [batchOf(c), c.node.int('n_targets', 1)])],
    cost: treeCost,
  },
  {
    op: 'TreeEnsemble',
    domain,
    infer: (c) => [tensor(c.dtype(0), [batchOf(c), c.node.int('n_targets', 1)])],
    cost: treeCost,
  },
  {
    op: 'LinearClassifier',
    domain,
    infer: (c) => classified(c, labelsOf(c).count || (countOf(c, 'intercepts') ?? 1)),
    cost: coefficientCost,
  },
  {
    op: 'SVMClassifier',
    domain,
    infer: (c) => classified(c, svmColumns(c)),
    cost: coefficientCost,
  },
  floats('LinearRegressor', (c) => [batchOf(c), c.node.int('targets', 1)]),
  floats('SVMRegressor', (c) => [batchOf(c), 1]),
  floats('Normalizer', (c) => c.shape(0)),
  floats('Scaler', (c) => c.shape(0)),
  floats('OneHotEncoder', (c) => {
    const count = countOf(c, 'cats_int64s', 'cats_strings');
    return c.shape(0) && [...(c.shape(0) ?? []), count ?? unknownDim()];
  }),
  floats('FeatureVectorizer', (c) => {
    const widths = c.node.ints('inputdimensions');
    return [batchOf(c), widths ? widths.reduce((sum, width) => sum + width, 0) : unknownDim()];
  }),
  { op: 'LabelEncoder', domain, infer: (c) => [tensor(encodedType(c), c.shape(0))] },
  { op: 'CategoryMapper', domain, infer: (c) => [tensor(exchanged(c.dtype(0)), c.shape(0))] },
  { op: 'ArrayFeatureExtractor', domain, infer: (c) => [tensor(c.dtype(0), extractedShape(c))] },
  same('Binarizer'),
  same('Imputer'),
  {
    op: 'DictVectorizer',
    domain,
    infer(c) {
      const count = countOf(c, 'string_vocabulary', 'int64_vocabulary') ?? unknownDim();
      return [tensor(mapValueType(c.type(0)), [1, count])];
    },
  },
  {
    op: 'CastMap',
    domain,
    infer(c) {
      const isSparse = c.node.string('map_form', 'DENSE') === 'SPARSE';
      const size = isSparse ? c.node.int('max_map', 1) : unknownDim();
      return [tensor(CAST_TYPES[c.node.string('cast_to', 'TO_FLOAT')], [1, size])];
    },
  },
  { op: 'ZipMap', domain, infer: (c) => [{ type: classMaps(c) }], cost: () => 0 },
);
