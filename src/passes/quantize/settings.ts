// What the user asks of quantisation, as plain data: the flags of the command and the head of a recipe.

export const MODES = ['dynamic', 'static', 'weights', 'fp16', 'bf16', 'fp8', 'mixed'] as const;
export type Mode = (typeof MODES)[number];

export const ALGORITHMS = ['rtn', 'hqq', 'gptq', 'awq'] as const;
export const FORMATS = ['auto', 'qdq', 'qoperator', 'nbits', 'bnb4'] as const;
export const ACTIVATIONS = ['uint8', 'int8', 'uint16', 'int16'] as const;
export const INTEGERS = ['int8', 'uint8'] as const;

export interface Settings {
  readonly mode: Mode;
  /** Of weights, in mode `weights`; of activations, in mode `static` (16: int16 activations). */
  readonly bits: 16 | 8 | 4 | 2;
  /** Element types in modes `static` and `dynamic`. */
  readonly activations: (typeof ACTIVATIONS)[number];
  readonly weights: (typeof INTEGERS)[number];
  readonly perChannel: boolean;
  /** Of activations in mode `static`, of weights in mode `weights`; undefined: what suits the mode. */
  readonly symmetric?: boolean | undefined;
  /** Undefined: where the target's products of uint8 and int8 saturate. */
  readonly reduceRange?: boolean | undefined;
  readonly format: (typeof FORMATS)[number];
  /** Weights that share a scale: so many, or all of an output channel. */
  readonly block: number | 'channel';
  readonly algorithm: (typeof ALGORITHMS)[number];
  /** Graph inputs and outputs stay float32 in half precision. */
  readonly keepIo: boolean;
  /** Names of improvements to apply. */
  readonly improvements: readonly string[];
}
