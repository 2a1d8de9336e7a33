import { Tensor } from '../../../src/tensor/tensor.ts';
import type { GradientCase } from '../../helpers/gradcheck.ts';

const branches =
  'then_branch = b1 () => (T[2,3] t) { u = Tanh(h) t = Mul(u, w) }, else_branch = b2 () => (T[2,3] e) { e = Exp(x) }';

/** What the branches read around them flows; each branch leaves something out. */
export const cases: readonly GradientCase[] = [true, false].map((isTaken) => ({
  text: `g (T[2,3] x, T[3] w, bool k) => (T[2,3] y) { h = Sin(x) z = If<${branches}>(k) y = Add(z, h) }`,
  fixed: { k: Tensor.of('bool', [], [isTaken ? 1 : 0]) },
}));
