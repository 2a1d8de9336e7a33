import type { GradientCase } from '../../helpers/gradcheck.ts';

const einsum = (equation: string, inputs: readonly string[], out: string): GradientCase => {
  const names = inputs.map((_, i) => `x${i}`);
  const declared = inputs.map((shape, i) => `T[${shape}] x${i}`).join(', ');
  const y = out ? `T[${out}] y` : 'T y';
  return {
    text: `g (${declared}) => (${y}) { y = Einsum<equation = "${equation}">(${names.join(', ')}) }`,
    // Linear in each operand.
    step: 0.5,
  };
};

export const cases: readonly GradientCase[] = [
  einsum('ij,jk->ik', ['2,3', '3,4'], '2,4'),
  einsum('bhid,bhjd->bhij', ['2,2,3,4', '2,2,5,4'], '2,2,3,5'),
  einsum('bij,bjk->bki', ['2,3,4', '2,4,5'], '2,5,3'),
  einsum('ij, jk', ['2,3', '3,4'], '2,4'),
  einsum('ba', ['2,3'], '3,2'),
  einsum('...ij,...jk->...ik', ['5,2,3', '5,3,4'], '5,2,4'),
  einsum('...ij,jk->...ik', ['5,2,3', '3,4'], '5,2,4'),
  einsum('ijk->i', ['2,3,4'], '2'),
  einsum('ijl,jk->k', ['2,3,4', '3,5'], '5'),
  einsum('i,j->ij', ['3', '4'], '3,4'),
  einsum('i,i->', ['3', '3'], ''),
  einsum('bi,ij,bj->b', ['2,3', '3,4', '2,4'], '2'),
];
