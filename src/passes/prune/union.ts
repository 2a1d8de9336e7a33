// Sets that grow together (union-find with path halving); the smallest member stands for the set, so
// that results do not depend on the order of unions.

export class Union {
  readonly #parent: Int32Array;

  constructor(size: number) {
    this.#parent = Int32Array.from({ length: size }, (_, i) => i);
  }

  find(i: number): number {
    const parent = this.#parent;
    let at = i;
    for (;;) {
      const up = parent[at] as number;
      if (up === at) return at;
      const next = parent[up] as number;
      parent[at] = next;
      at = next;
    }
  }

  join(a: number, b: number): void {
    const [x, y] = [this.find(a), this.find(b)];
    if (x < y) this.#parent[y] = x;
    else this.#parent[x] = y;
  }
}
