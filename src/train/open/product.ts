// Openings of fused products. Source: onnxruntime docs/ContribOperators.md and
// core/graph/contrib_ops/contrib_defs.cc.

import type { Attrs, Value } from '../../graph/index.ts';
import { activated } from './activation.ts';
import type { Openable, Opening } from './openable.ts';

/** An operand as it goes into the product: [M, batch …, K] → [batch …, M, K], then transposed. */
function operand(o: Openable, index: number): Value {
  const letter = index === 0 ? 'A' : 'B';
  const rank = o.sizes(o.x(index)).length;
  if (rank < 2) return o.x(index);
  let perm = Array.from({ length: rank }, (_, i) => i);
  if (o.node.int(`transBatch${letter}`, 0)) perm = [...perm.slice(1, -1), 0, rank - 1];
  if (o.node.int(`trans${letter}`, 0)) {
    perm = [...perm.slice(0, -2), perm[rank - 1] ?? 0, perm[rank - 2] ?? 0];
  }
  return perm.every((axis, i) => axis === i) ? o.x(index) : o.transpose(o.x(index), perm);
}

function fusedMatmul(o: Openable): Value[] {
  const product = o.op('MatMul', [operand(o, 0), operand(o, 1)]);
  const alpha = o.node.float('alpha', 1);
  return [alpha === 1 ? product : o.f.mul(product, alpha)];
}

function kept(o: Openable, names: readonly string[]): Attrs {
  return Object.fromEntries(names.map((name) => [name, o.node.attrs.get(name)]));
}

/** act(A' B' α + β C). */
function fusedGemm(o: Openable): Value[] {
  const attrs = kept(o, ['alpha', 'beta', 'transA', 'transB']);
  const y = o.op('Gemm', [o.x(0), o.x(1), o.optional(2)], attrs);
  const given = ['activation_alpha', 'activation_beta', 'activation_gamma'];
  const numbers = given.flatMap((name) => o.node.float(name) ?? []);
  return [activated(o, y, o.node.string('activation', ''), numbers)];
}

/** act(X ∗ W + B + Z). */
function fusedConv(o: Openable): Value[] {
  const names = ['auto_pad', 'dilations', 'group', 'kernel_shape', 'pads', 'strides'];
  const y = o.op('Conv', [o.x(0), o.x(1), o.optional(2)], kept(o, names));
  const numbers = o.node.floats('activation_params') ?? [];
  return [activated(o, o.plus(y, o.optional(3)), o.node.string('activation', ''), numbers)];
}

export const products: Readonly<Record<string, Opening>> = {
  'com.microsoft:FusedMatMul': fusedMatmul,
  'com.microsoft:TransposeMatMul': fusedMatmul,
  'com.microsoft:FusedGemm': fusedGemm,
  'com.microsoft:FusedConv': fusedConv,
};
