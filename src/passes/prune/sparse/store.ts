// What becomes of a weight: the tensor without the elements that go, made at once or when somebody
// needs it.

import type { Model, Node } from '../../../graph/index.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { Product } from './products.ts';

export interface Sparsified {
  readonly node: Node;
  readonly elements: number;
  readonly zeros: number;
}

/** Sets a weight to what `make` will give. */
export function storeLazily(
  model: Model,
  { weight, data, node }: Product,
  zeros: number,
  make: () => Float32Array,
): Sparsified {
  const compute = async () => {
    const { buffer, byteOffset, byteLength } = make();
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  const source = { byteLength: data.byteLength, compute };
  model.graph.setData(weight, new Tensor('float32', data.shape, source));
  return { node, elements: data.size, zeros };
}

/** Sets a weight to values in its own layout, which are handed over. */
export function store(
  model: Model,
  { weight, data, node }: Product,
  values: Float32Array,
  keep: (tensor: Tensor) => Tensor = (tensor) => tensor,
): Sparsified {
  let zeros = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros += 1;
  model.graph.setData(weight, keep(Tensor.of('float32', data.shape, values)));
  return { node, elements: values.length, zeros };
}
