// GELU (Hendrycks and Gimpel, arXiv:1606.08415): x/2 (1 + erf(x / sqrt 2)), and its approximation
// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), in any order of factors.

import type { Node, Value } from '../../graph/index.ts';
import {
  fuse,
  isClosed,
  isNear,
  isScalar,
  isSingleOrHalf,
  type Monomial,
  monomial,
  operands,
  producer,
} from '../match.ts';
import { importDomain, type RewriteContext, rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-gelu',
  summary: 'Makes one Gelu of its erf and tanh forms; com.microsoft at level extended',
  on: ['Mul', 'Div'],
  apply(node, context) {
    const product = monomial(node.output);
    for (const factor of product.powers.keys()) {
      const found = erfForm(factor) ?? tanhForm(factor);
      if (!found || !isSingleOrHalf(found.x)) continue;
      const whole = monomial(node.output, found.x);
      if (!isHalfXTimes(whole, found.x, factor)) continue;
      const matched = new Set([...whole.nodes, ...found.nodes]);
      if (!isClosed(matched, node.output)) return skip('a step of it is read elsewhere');
      const by = gelu(found, context);
      return by ? fuse(context, matched, node.output, by) : skip(NEEDS);
    }
    return undefined;
  },
});

const NEEDS = 'Gelu needs opset 20; --opset 20 or --level extended allows it';

interface Form {
  readonly x: Value;
  readonly nodes: Set<Node>;
  readonly approximate: 'none' | 'tanh';
}

/** 0.5 * x * factor. */
function isHalfXTimes({ coefficient, powers }: Monomial, x: Value, factor: Value): boolean {
  return (
    powers.size === 2 &&
    powers.get(x) === 1 &&
    powers.get(factor) === 1 &&
    isNear(coefficient, 0.5, x)
  );
}

/** The other operand of an Add of 1. */
function onePlus(value: Value): [Node, Value] | undefined {
  const add = producer(value, 'Add');
  const found = add && operands(add).find(([, one]) => isScalar(one, 1));
  return add && found && [add, found[0]];
}

/** 1 + erf(x / sqrt 2) */
function erfForm(value: Value): Form | undefined {
  const [add, inner] = onePlus(value) ?? [];
  const erf = producer(inner, 'Erf');
  const argument = erf?.input(0);
  if (!add || !erf || !argument) return undefined;
  const scaled = producer(argument, 'Mul', 'Div');
  if (!scaled) return undefined;
  for (const [x] of operands(scaled)) {
    const { coefficient, powers, nodes } = monomial(argument, x);
    if (powers.size === 1 && powers.get(x) === 1 && isNear(coefficient, Math.SQRT1_2, x)) {
      return { x, nodes: new Set([add, erf, ...nodes]), approximate: 'none' };
    }
  }
  return undefined;
}

/** 1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
function tanhForm(value: Value): Form | undefined {
  const [add, inner] = onePlus(value) ?? [];
  const tanh = producer(inner, 'Tanh');
  const argument = tanh?.input(0);
  if (!add || !tanh || !argument) return undefined;
  const found = cubicSum(argument) ?? cubicProduct(argument);
  return found && { ...found, nodes: new Set([add, tanh, ...found.nodes]), approximate: 'tanh' };
}

const CUBIC = 0.044715;
const SLOPE = Math.sqrt(2 / Math.PI);

/** sqrt(2/pi) * (x + 0.044715 x^3) */
function cubicSum(argument: Value): Pick<Form, 'x' | 'nodes'> | undefined {
  const outer = monomial(argument);
  const [sum] = outer.powers.keys();
  const add = producer(sum, 'Add');
  if (!add || outer.powers.size !== 1 || !isNear(outer.coefficient, SLOPE, argument))
    return undefined;
  for (const [x, cube] of operands(add)) {
    const { coefficient, powers, nodes } = monomial(cube, x);
    if (powers.size === 1 && powers.get(x) === 3 && isNear(coefficient, CUBIC, x)) {
      return { x, nodes: new Set([...outer.nodes, add, ...nodes]) };
    }
  }
  return undefined;
}

/** sqrt(2/pi) * x * (1 + 0.044715 x^2) */
function cubicProduct(argument: Value): Pick<Form, 'x' | 'nodes'> | undefined {
  const factors = [...monomial(argument).powers.keys()];
  for (const factor of factors) {
    const [add, square] = onePlus(factor) ?? [];
    const last = producer(square, 'Mul', 'Pow');
    if (!add || !square || !last) continue;
    for (const x of candidates(square)) {
      const outer = monomial(argument, x);
      const inner = monomial(square, x);
      const fits =
        outer.powers.size === 2 &&
        outer.powers.get(x) === 1 &&
        outer.powers.get(factor) === 1 &&
        isNear(outer.coefficient, SLOPE, x) &&
        inner.powers.size === 1 &&
        inner.powers.get(x) === 2 &&
        isNear(inner.coefficient, CUBIC, x);
      if (fits) return { x, nodes: new Set([...outer.nodes, add, ...inner.nodes]) };
    }
  }
  return undefined;
}

/** Values that could be the x of a product: what its multiplications read. */
function candidates(product: Value): Value[] {
  const { nodes, powers } = monomial(product);
  return [...powers.keys(), ...[...nodes].flatMap((n) => n.inputs.filter((v) => v !== undefined))];
}

function gelu({ x, approximate }: Form, context: RewriteContext): Value | undefined {
  const { g, graph, model, opset, level } = context;
  if (opset >= 20) {
    return g.op('Gelu', [x], { approximate: approximate === 'tanh' ? 'tanh' : undefined });
  }
  if (level !== 'extended') return undefined;
  importDomain(model, graph, 'com.microsoft', 1);
  return g.op(approximate === 'tanh' ? 'FastGelu' : 'Gelu', [x], {}, { domain: 'com.microsoft' });
}
