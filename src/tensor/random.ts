// Seeded random numbers, the same on every platform: sfc32 (Doty-Humphrey, PractRand), seeded by
// hashing the seed and a word for what the numbers are for, so that streams do not depend on each
// other or on the order they are made in.

// Looking up a global costs more than calling it where scripts run in contexts of their own (tests).
const { abs, cos, floor, imul, log, PI, sin, sqrt } = Math;

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  #spare: number | undefined;

  constructor(seed: number, purpose = '') {
    this.#a = hash(`${seed}/${purpose}`, 0x9e3779b9);
    this.#b = hash(`${purpose}/${seed}`, 0x243f6a88);
    this.#c = hash(`${seed}`, 0xb7e15162);
    for (let i = 0; i < 12; i++) this.bits();
  }

  /** 32 random bits, as an unsigned integer. */
  bits(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    return result >>> 0;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.bits() >>> 5) * 0x4000000 + (this.bits() >>> 6)) / 2 ** 53;
  }

  /** Whole numbers in [0, below), without bias. */
  integer(below: number): number {
    return floor(this.uniform() * below);
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const radius = sqrt(-2 * log(1 - this.uniform()));
    const angle = 2 * PI * this.uniform();
    this.#spare = radius * sin(angle);
    return radius * cos(angle);
  }

  /** Standard normal within two deviations: drawn again beyond. */
  truncatedNormal(): number {
    for (;;) {
      const value = this.normal();
      if (abs(value) <= 2) return value;
    }
  }

  /** A random order of 0 … count - 1 (Fisher and Yates). */
  permutation(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return order;
  }
}

/** FNV-1a, finished with the mixing steps of MurmurHash3. */
function hash(text: string, start: number): number {
  let h = start ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = imul(h ^ text.charCodeAt(i), 0x01000193);
  h = imul(h ^ (h >>> 16), 0x85ebca6b);
  h = imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
