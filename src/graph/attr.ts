// Attributes of nodes. Immutable: a rewrite sets a new one.

import type { Tensor } from '../tensor/tensor.ts';
import type { Graph } from './graph.ts';
import type { Type } from './type.ts';

/** Integers beyond 2^53 stay bigints; strings stay bytes until asked for as text. */
export type AttrValue =
  | { readonly type: 'int'; readonly value: number | bigint }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: Uint8Array }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'type'; readonly value: Type }
  | { readonly type: 'ints'; readonly value: readonly (number | bigint)[] }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly Uint8Array[] }
  | { readonly type: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  /** Inside a function: the attribute of the call that stands here. */
  | { readonly type: 'reference'; readonly value: string }
  /** What this version does not interpret (sparse tensors, future kinds); kept by `onnx/`. */
  | { readonly type: 'opaque'; readonly value: unknown };

export type Attr = AttrValue & {
  /** What the file format has to keep beside the value (doc strings …); owned by `onnx/`. */
  readonly origin?: unknown;
};

/** The plain JavaScript forms accepted where attributes are written by hand. */
export type AttrLike = number | string | readonly number[] | readonly string[] | Tensor | Graph;

const encoder = new TextEncoder();

export const attr = {
  int: (value: number | bigint): Attr => ({ type: 'int', value }),
  float: (value: number): Attr => ({ type: 'float', value }),
  string: (value: string): Attr => ({ type: 'string', value: encoder.encode(value) }),
  tensor: (value: Tensor): Attr => ({ type: 'tensor', value }),
  graph: (value: Graph): Attr => ({ type: 'graph', value }),
  ints: (value: readonly (number | bigint)[]): Attr => ({ type: 'ints', value }),
  floats: (value: readonly number[]): Attr => ({ type: 'floats', value }),
  strings: (value: readonly string[]): Attr => ({
    type: 'strings',
    value: value.map((s) => encoder.encode(s)),
  }),
};
