// Where a written model keeps its tensors: in the message, or in one file beside it. Offsets in that
// file are multiples of 4096, so that it can be mapped into memory (ONNX specification,
// "External Tensor Data").

import type { Tensor, TensorSource } from '../tensor/tensor.ts';
import { type Piece, pieceOf } from './message.ts';

/** Protobuf messages end here. */
export const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

const ALIGNMENT = 4096;
/** Smaller tensors stay in the message: shape inference has to see them. */
const MIN_EXTERNAL_BYTES = 1024;

export interface Place {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface Storage {
  /** Where a tensor goes; undefined: into the message. */
  place(tensor: Tensor, isInitializer: boolean): Place | undefined;
}

export const INLINE: Storage = { place: () => undefined };

export class DataFile implements Storage {
  readonly location: string;
  /** In the order of their offsets. */
  readonly tensors: { readonly tensor: Tensor; readonly offset: number }[] = [];
  size = 0;
  readonly #takesAttributes: boolean;
  readonly #offsets = new Map<TensorSource, number>();

  /** `takesAttributes`: tensors of attributes, too, which few readers expect there. */
  constructor(location: string, takesAttributes = false) {
    this.location = location;
    this.#takesAttributes = takesAttributes;
  }

  place(tensor: Tensor, isInitializer: boolean): Place | undefined {
    const { source, byteLength, dtype } = tensor;
    if (dtype === 'string' || byteLength < MIN_EXTERNAL_BYTES) return undefined;
    if (!isInitializer && !this.#takesAttributes) return undefined;
    let offset = this.#offsets.get(source);
    if (offset === undefined) {
      offset = Math.ceil(this.size / ALIGNMENT) * ALIGNMENT;
      this.#offsets.set(source, offset);
      this.tensors.push({ tensor, offset });
      this.size = offset + byteLength;
    }
    return { location: this.location, offset, length: byteLength };
  }
  *pieces(): Generator<Piece> {
    let at = 0;
    for (const { tensor, offset } of this.tensors) {
      yield new Uint8Array(offset - at);
      yield pieceOf(tensor);
      at = offset + tensor.byteLength;
    }
  }
}
