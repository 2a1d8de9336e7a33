// What a model is made for: a runtime and a provider, and which kernels they have. The table
// `kernels.json` is written by `scripts/kernels.mjs`, which tries them; a provider that could not be
// tried has what onnxruntime documents.

import assert from 'node:assert/strict';
import table from './kernels.json' with { type: 'json' };

export const TARGETS = ['cpu', 'cuda', 'web-wasm', 'web-webgpu'] as const;
export type TargetName = (typeof TARGETS)[number];

/**
 * A capability that somebody may ask for, named `Operator` or `Operator:variant`:
 * `QLinearConv:u8s8` is the one for uint8 activations and int8 weights, `MatMulNBits:4` the one for
 * 4 bits, `MatMulNBits:4-fp16` with float16 scales and activations, `Conv:bf16` Conv in bfloat16,
 * `DequantizeLinear:int4-blocked` with scales for blocks, `opset:23` that models of opset 23 load.
 * Operators of com.microsoft that share their name with a standard one have the domain in front.
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

/** What has to be known of this machine. */
export interface MachineFacts {
  /** As `process.arch` says it. */
  readonly architecture: string;
  readonly instructionSets: readonly { readonly name: string; readonly present: boolean }[];
  /** Whether models run on CUDA here. */
  readonly hasCuda: boolean;
}

/** `auto` is this machine: its graphics card, if that runs models, else its processor. */
export function resolveTarget(name: TargetName | 'auto', facts: MachineFacts): Target {
  const resolved = name === 'auto' ? (facts.hasCuda ? 'cuda' : 'cpu') : name;
  const { kernels } = table.targets[resolved];
  return {
    name: resolved,
    isHere: resolved === 'cpu' || (resolved === 'cuda' && facts.hasCuda),
    exactProducts: resolved === 'cpu' ? isExact(facts) : table.targets[resolved].exactProducts,
    has: (kernel) => lookup(kernels, kernel),
  };
}

/** The version of onnxruntime whose kernels were tried. */
export const KERNELS_OF: string = table.onnxruntime;

/** The newest opset of the standard domain that a target loads. */
export function newestOpset(target: Target): number {
  const opsets = Object.keys(table.targets.cpu.kernels).flatMap((kernel) => {
    return kernel.startsWith('opset:') && target.has(kernel) ? [Number(kernel.slice(6))] : [];
  });
  return Math.max(...opsets);
}

/**
 * Instruction sets that multiply bytes and add up in 32 bits. Without one, x86 adds pairs of products
 * in 16 bits (vpmaddubsw), which saturates; kernels for ARM widen first.
 */
const EXACT = new Set(['AVX-512 VNNI', 'AVX-VNNI', 'AMX INT8']);

function isExact({ architecture, instructionSets }: MachineFacts): boolean {
  if (architecture !== 'x64' && architecture !== 'ia32') return true;
  return instructionSets.some(({ name, present }) => present && EXACT.has(name));
}

function lookup(kernels: Readonly<Record<string, boolean>>, kernel: Kernel): boolean {
  const found = kernels[kernel];
  if (found !== undefined) return found;
  // Half precision may be asked of any operator: of one that was not tried nothing is known.
  assert(/:(fp16|bf16)$/.test(kernel), `"${kernel}" is no kernel that scripts/kernels.mjs tries`);
  return false;
}
