// The graph, for those who use it.

export { type Attr, type AttrLike, type AttrValue, attr } from './attr.ts';
export { type Attrs, Builder, type OpOptions } from './builder.ts';
export { checkModel, type Problem } from './check.ts';
export { cloneGraph } from './clone.ts';
export {
  add,
  atLeast,
  type Dim,
  divideExactly,
  isNonNegative,
  isStatic,
  isUnknown,
  mul,
  printDim,
  printShape,
  product,
  type Shape,
  Sym,
  sameDim,
  sameShape,
  sub,
  substitute,
  symbol,
  symbolsOf,
  unknownDim,
  unknownElement,
} from './dim.ts';
export { ceilDiv, floorDiv, max, min, truncDiv } from './dim-order.ts';
export { Graph } from './graph.ts';
export { Model, type ModelFunction } from './model.ts';
export { modelKey } from './model-key.ts';
export { Node, type NodeParts, toAttrs } from './node.ts';
export { type PrintOptions, printGraph, printModel } from './print.ts';
export { type Halves, splitModel } from './split.ts';
export { printType, type TensorType, type Type, tensorType } from './type.ts';
export { dropUnread } from './unread.ts';
export { type Use, Value } from './value.ts';
export * from './walk.ts';
