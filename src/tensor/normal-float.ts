// NormalFloat4: sixteen values that split a normal distribution into equally likely parts, scaled by
// the largest magnitude of each block. Dettmers et al., QLoRA (2023), section 3 and appendix E; layout
// of com.microsoft.MatMulBnb4: elements in the order of the transposed weight [N, K], flattened, two
// per byte, the first in the upper half; one scale for every `block` elements in that order.

/** The values of the sixteen codes, in order. */
export const NORMAL_FLOATS = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
] as const;

/** Halfway between neighbours: above it the higher one is nearer. */
const BOUNDS = Float32Array.from(
  NORMAL_FLOATS.slice(1),
  (value, i) => (value + (NORMAL_FLOATS[i] ?? 0)) / 2,
);

export interface PackedNormalFloats {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/**
 * Packs a weight matrix. `values` is [K, N], or [N, K] if `isTransposed`; the order of the codes is
 * that of [N, K] in both cases.
 */
export function packNormalFloats(
  values: ArrayLike<number>,
  [K, N]: readonly [number, number],
  isTransposed: boolean,
  block: number,
): PackedNormalFloats {
  const count = K * N;
  const codes = new Uint8Array(Math.ceil(count / 2));
  const scales = new Float32Array(Math.ceil(count / block));
  const at = (i: number): number => {
    const from = isTransposed ? i : (i % K) * N + Math.floor(i / K);
    return values[from] as number;
  };
  for (let b = 0; b < scales.length; b++) {
    const [start, end] = [b * block, Math.min(count, (b + 1) * block)];
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(at(i)));
    scales[b] = largest;
    const factor = largest > 0 ? Math.fround(1 / largest) : 0;
    for (let i = start; i < end; i++) {
      const code = codeOf(Math.fround(at(i) * factor));
      codes[i >> 1] = (codes[i >> 1] as number) | (i & 1 ? code : code << 4);
    }
  }
  return { codes, scales };
}

/** How many bounds lie below, by halving. */
function codeOf(x: number): number {
  let code = 0;
  for (let step = 8; step > 0; step >>= 1) {
    if (x > (BOUNDS[code + step - 1] as number)) code += step;
  }
  return code;
}
