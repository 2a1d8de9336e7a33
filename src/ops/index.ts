// Imports every family, so that `lookup` knows all operators.

import './elementwise.ts';

export { constantData, type InferContext, knownElements } from './context.ts';
export { bindAttributes, contextOf, inferNode, inferTypes } from './infer.ts';
export { allSpecs, lookup, type OpSpec } from './op.ts';
