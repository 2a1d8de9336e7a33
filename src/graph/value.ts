// A value: what flows along an edge. One producer, many uses.

import type { DType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Dim, Shape } from './dim.ts';
import type { Node } from './node.ts';
import type { Type } from './type.ts';

export interface Use {
  readonly node: Node;
  readonly index: number;
}

export class Value {
  /** Unique in its scope; empty for an output that the node leaves out. */
  name: string;
  /** Declared in the file or inferred. Types are immutable: set a new one. */
  type: Type | undefined;
  /** Set: this value is an initializer. It is a constant only if it is not a graph input too. */
  data: Tensor | undefined;
  /** The elements of a small integer tensor, row by row, where inference knows them. */
  known: readonly Dim[] | undefined;
  /** What the file format has to keep beside name and type; owned by `onnx/`. */
  origin: unknown;

  /** Maintained by Node and Graph; read `producer` and `uses`. */
  readonly links: { producer: Node | undefined; uses: Use[] } = { producer: undefined, uses: [] };

  constructor(name: string, type?: Type, data?: Tensor) {
    this.name = name;
    this.type = type;
    this.data = data;
    if (data && !type) this.type = { kind: 'tensor', dtype: data.dtype, shape: data.shape };
  }

  get producer(): Node | undefined {
    return this.links.producer;
  }

  /** Every node input that reads this value, nodes of subgraphs included. */
  get uses(): readonly Use[] {
    return this.links.uses;
  }

  get dtype(): DType | undefined {
    return this.type?.kind === 'tensor' ? this.type.dtype : undefined;
  }

  get shape(): Shape | undefined {
    return this.type?.kind === 'tensor' ? this.type.shape : undefined;
  }
}
