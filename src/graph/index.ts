// The graph, for those who use it.

export { type Attr, type AttrLike, type AttrValue, attr } from './attr.ts';
export { type Attrs, Builder } from './builder.ts';
export { checkModel, type Problem } from './check.ts';
export { cloneGraph } from './clone.ts';
export * from './dim.ts';
export { Graph } from './graph.ts';
export { Model, type ModelFunction } from './model.ts';
export { Node, type NodeParts, toAttrs } from './node.ts';
export { type PrintOptions, printGraph, printModel } from './print.ts';
export { printType, type TensorType, type Type, tensorType } from './type.ts';
export { type Use, Value } from './value.ts';
export * from './walk.ts';
