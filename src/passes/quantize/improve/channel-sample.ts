// What a layer is fed, told in constant memory: range of each of its K channels over all of the data,
// and some of its rows, drawn evenly (Vitter's reservoir) with the user's seed.

import { activationNotFinite } from '../../../errors/model.ts';
import type { Model, Node, Value } from '../../../graph/index.ts';
import { elementsOf } from '../../../tensor/elements.ts';
import { Random } from '../../../tensor/random.ts';
import type { Tensor } from '../../../tensor/tensor.ts';

export class ChannelSample {
  readonly width: number;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly #rows: Float32Array;
  readonly #random: Random;
  #seen = 0;

  constructor(width: number, capacity: number, seed: number, name: string) {
    this.width = width;
    this.min = new Float64Array(width).fill(Number.POSITIVE_INFINITY);
    this.max = new Float64Array(width).fill(Number.NEGATIVE_INFINITY);
    this.#rows = new Float32Array(capacity * width);
    this.#random = new Random(seed, `rows of ${name}`);
  }

  /** Rows that are held. */
  get count(): number {
    return Math.min(this.#seen, this.#rows.length / this.width);
  }

  get rows(): Float32Array {
    return this.#rows.slice(0, this.count * this.width);
  }

  add(tensor: Tensor): void {
    const values = elementsOf(tensor) as Float32Array;
    const { width, min, max } = this;
    for (let i = 0, k = 0; i < values.length; i++, k = k + 1 === width ? 0 : k + 1) {
      const x = values[i] as number;
      if (!(x >= (min[k] as number))) min[k] = x;
      if (!(x <= (max[k] as number))) max[k] = x;
    }
    const capacity = this.#rows.length / width;
    for (let at = 0; at < values.length; at += width) {
      const place = this.#seen < capacity ? this.#seen : this.#random.integer(this.#seen + 1);
      if (place < capacity) this.#rows.set(values.subarray(at, at + width), place * width);
      this.#seen += 1;
    }
  }

  /** Throws where the data made NaN or infinities. */
  requireFinite(value: Value, node: Node, model: Model): void {
    if (this.min.every(Number.isFinite) && this.max.every(Number.isFinite)) return;
    throw activationNotFinite(value.name, node.describe(), model.path);
  }
}
