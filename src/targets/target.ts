// What a model is made for: a runtime and a provider, and which quantised kernels they have. The table
// `kernels.json` is written by `scripts/kernels.mjs`, which tries them.

export const TARGETS = ['cpu', 'cuda', 'web-wasm', 'web-webgpu'] as const;
export type TargetName = (typeof TARGETS)[number];

/**
 * A capability that somebody may ask for, named `Operator` or `Operator:variant`:
 * `ConvInteger:s8` is ConvInteger with int8 weights, `MatMulNBits:4` the one for 4 bits,
 * `QLinearConv:u8s8` the one for uint8 activations and int8 weights.
 */
export type Kernel = string;

export interface Target {
  readonly name: TargetName;
  /** Whether it is the machine that xform runs on, so that results can be measured. */
  readonly isHere: boolean;
  /** True where products of uint8 and int8 do not saturate (VNNI, ARM, or kernels that widen). */
  readonly exactProducts: boolean;
  has(kernel: Kernel): boolean;
}
