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
  values: Float32Array,
  [K, N]: readonly [number, number],
  isTransposed: boolean,
  block: number,
): PackedNormalFloats {
  const flat = isTransposed ? values : transposed(values, K, N);
  const count = flat.length;
  const codes = new Uint8Array(Math.ceil(count / 2));
  const scales = new Float32Array(Math.ceil(count / block));
  // Rounds to float32, as onnxruntime does before it compares.
  const scaled = new Float32Array(block);
  for (let b = 0, start = 0; start < count; b++, start += block) {
    const size = Math.min(block, count - start);
    let largest = 0;
    for (let i = 0; i < size; i++) {
      const x = flat[start + i] as number;
      if (x > largest) largest = x;
      else if (-x > largest) largest = -x;
    }
    scales[b] = largest;
    scaled[0] = largest > 0 ? 1 / largest : 0;
    const factor = scaled[0] as number;
    for (let i = 0; i < size; i++) scaled[i] = (flat[start + i] as number) * factor;
    for (let i = 0; i < size; i++) {
      const code = codeOf(scaled[i] as number);
      const at = start + i;
      codes[at >> 1] = (codes[at >> 1] as number) | (at & 1 ? code : code << 4);
    }
  }
  return { codes, scales };
}

/** How many bounds lie below, by halving. */
function codeOf(x: number): number {
  let code = x > (BOUNDS[7] as number) ? 8 : 0;
  if (x > (BOUNDS[code + 3] as number)) code += 4;
  if (x > (BOUNDS[code + 1] as number)) code += 2;
  return x > (BOUNDS[code] as number) ? code + 1 : code;
}

/** Columns that are written at a time, so that both sides stay in the cache. */
const TILE = 16;

/** [K, N] → [N, K]. */
function transposed(values: Float32Array, K: number, N: number): Float32Array {
  const result = new Float32Array(K * N);
  for (let first = 0; first < N; first += TILE) {
    const last = first + TILE < N ? first + TILE : N;
    for (let k = 0; k < K; k++) {
      for (let n = first; n < last; n++) result[n * K + k] = values[k * N + n] as number;
    }
  }
  return result;
}
