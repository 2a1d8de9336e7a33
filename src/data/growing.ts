// Numbers of which nobody knows how many will come: a typed array that doubles when it is full.

export type Numbers =
  | Float64Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

const FIRST = 1 << 10;

export class Growing<T extends Numbers> {
  readonly #make: (length: number) => T;
  #all: T;
  #count = 0;

  constructor(make: (length: number) => T) {
    this.#make = make;
    this.#all = make(FIRST);
  }

  append(values: ArrayLike<number>): void {
    const count = this.#count + values.length;
    if (count > this.#all.length) {
      const wider = this.#make(Math.max(2 * this.#all.length, count));
      wider.set(this.values);
      this.#all = wider;
    }
    this.#all.set(values, this.#count);
    this.#count = count;
  }

  get length(): number {
    return this.#count;
  }

  /** All so far; the memory is shared until the next `append`. */
  get values(): T {
    return this.#all.subarray(0, this.#count) as T;
  }
}
