// Types of values: tensors, and the rarer sequences, optionals, maps and sparse tensors.

import type { DType } from '../tensor/dtype.ts';
import { printShape, type Shape } from './dim.ts';

export interface TensorType {
  readonly kind: 'tensor';
  readonly dtype?: DType | undefined;
  readonly shape?: Shape | undefined;
}

export type Type =
  | TensorType
  | {
      readonly kind: 'sparse';
      readonly dtype?: DType | undefined;
      readonly shape?: Shape | undefined;
    }
  | { readonly kind: 'sequence'; readonly element?: Type | undefined }
  | { readonly kind: 'optional'; readonly element?: Type | undefined }
  | { readonly kind: 'map'; readonly key?: DType | undefined; readonly value?: Type | undefined };

export function tensorType(dtype?: DType, shape?: Shape): TensorType {
  return { kind: 'tensor', dtype, shape };
}

/** `float32 [batch, 3, 224, 224]`, for people. */
export function printType(type: Type | undefined): string {
  if (type === undefined) return 'unknown';
  switch (type.kind) {
    case 'tensor':
      return `${type.dtype ?? '?'} ${printShape(type.shape)}`;
    case 'sparse':
      return `sparse ${type.dtype ?? '?'} ${printShape(type.shape)}`;
    case 'map':
      return `map<${type.key ?? '?'}, ${printType(type.value)}>`;
    default:
      return `${type.kind}<${printType(type.element)}>`;
  }
}
