// Gradient of Einsum: an Einsum in which the result and the operand have changed places. What an
// operand sums away on its own was spread evenly, so it is stretched again.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, gradients } from '../gradient.ts';

type C = GradientContext;

interface Equation {
  readonly operands: readonly string[];
  readonly result: string;
}

const SPARE = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** One letter per axis; "..." becomes letters that the equation does not use (ONNX, Einsum). */
function equationOf(c: C): Equation {
  const text = c.node.string('equation', '').replaceAll(' ', '');
  const [left = '', right] = text.split('->');
  const terms = left.split(',');
  const free = [...SPARE].filter((letter) => !text.includes(letter));
  const widths = terms.map((term, i) => c.rank(c.x(i)) - term.replace('...', '').length);
  const shared = free.slice(
    0,
    Math.max(0, ...terms.map((t, i) => (t.includes('...') ? (widths[i] ?? 0) : 0))),
  );
  const operands = terms.map((term, i) =>
    term.replace('...', shared.slice(shared.length - (widths[i] ?? 0)).join('')),
  );
  const all = shared.join('');
  return { operands, result: right?.replace('...', all) ?? all + implicitResult(left) };
}

/** Without "->": the letters that occur once, in the order of the alphabet. */
function implicitResult(left: string): string {
  const letters = [...left].filter((letter) => /[A-Za-z]/.test(letter));
  return letters
    .filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter))
    .sort()
    .join('');
}

function operandGradient(c: C, { operands, result }: Equation, index: number): Value {
  const own = operands[index] ?? '';
  const others = operands.filter((_, i) => i !== index);
  const sources = [result, ...others];
  const reached = [...own].filter((letter) => sources.some((source) => source.includes(letter)));
  const equation = `${sources.join(',')}->${reached.join('')}`;
  const inputs = [c.dy(), ...others.map((_, i) => c.x(i < index ? i : i + 1))];
  const product = c.op('Einsum', inputs, { equation });
  if (reached.length === own.length) return product;
  const alone = [...own].flatMap((letter, axis) => (reached.includes(letter) ? [] : [axis]));
  const kept = c.op('Unsqueeze', [product, c.ints(alone)]);
  return c.op('Expand', [kept, c.shapeOf(c.x(index))]);
}

gradients({
  Einsum: (c) => {
    const equation = equationOf(c);
    const repeated = equation.operands.find((term) => new Set(term).size < term.length);
    if (repeated) c.unsupported(`Einsum with a letter twice in one operand ("${repeated}")`);
    return equation.operands.map((_, i) => c.when(i, () => operandGradient(c, equation, i)));
  },
});
