// Tensor to TensorProto: unchanged tensors as they were read, others with raw_data.

import assert from 'node:assert/strict';
import { dtypeCode } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { ENTRY, EXTERNAL, TENSOR } from './fields.ts';
import { assemble, type Message, type Parts, Shell } from './message.ts';
import { TensorOrigin } from './origin.ts';
import type { Place, Storage } from './storage.ts';

const nothing = () => {};

/** What another way to keep the payload makes void. */
const NO_PAYLOAD: Parts = {
  [TENSOR.float_data]: nothing,
  [TENSOR.int32_data]: nothing,
  [TENSOR.int64_data]: nothing,
  [TENSOR.raw_data]: nothing,
  [TENSOR.double_data]: nothing,
  [TENSOR.uint64_data]: nothing,
  [TENSOR.external_data]: nothing,
  [TENSOR.data_location]: nothing,
};

/** `name` is that of an initializer; tensors of attributes keep the one they have. */
export function writeTensor(
  message: Message,
  number: number,
  tensor: Tensor,
  storage: Storage,
  name?: string,
): void {
  const origin = tensor.origin instanceof TensorOrigin ? tensor.origin : undefined;
  const place = storage.place(tensor, name !== undefined);
  const isNamed = name === undefined || origin?.name === name;
  if (origin && isNamed && !place && !origin.isExternal) {
    message.copy(origin.span, number);
    return;
  }
  message.message(number, (m) => {
    const named = isNamed ? {} : { [TENSOR.name]: (x: Message) => x.text(TENSOR.name, name) };
    if (!origin) {
      assemble(m, Shell.none, { ...headerOf(tensor), ...payloadOf(tensor, place), ...named });
      return;
    }
    const isMoved = place !== undefined || origin.isExternal;
    const payload = isMoved ? { ...NO_PAYLOAD, ...payloadOf(tensor, place) } : {};
    assemble(m, Shell.of(origin.span, 'TensorProto'), { ...payload, ...named });
  });
}

function headerOf(tensor: Tensor): Parts {
  return {
    [TENSOR.dims]: (m) => {
      for (const dim of tensor.shape) m.int(TENSOR.dims, dim);
    },
    [TENSOR.data_type]: (m) => m.int(TENSOR.data_type, dtypeCode(tensor.dtype)),
  };
}

function payloadOf(tensor: Tensor, place: Place | undefined): Parts {
  if (place) return externalOf(place);
  const { source } = tensor;
  if (!('strings' in source)) {
    return { [TENSOR.raw_data]: (m) => m.payload(TENSOR.raw_data, tensor) };
  }
  assert.equal(tensor.dtype, 'string', 'strings are the bytes of string tensors only');
  return {
    [TENSOR.string_data]: (m) => {
      for (const text of source.strings) m.bytes(TENSOR.string_data, text);
    },
  };
}

function externalOf(place: Place): Parts {
  return {
    [TENSOR.external_data]: (m) => {
      for (const key of ['location', 'offset', 'length'] as const) {
        m.message(TENSOR.external_data, (entry) => {
          entry.text(ENTRY.key, key);
          entry.text(ENTRY.value, String(place[key]));
        });
      }
    },
    [TENSOR.data_location]: (m) => m.int(TENSOR.data_location, EXTERNAL),
  };
}
