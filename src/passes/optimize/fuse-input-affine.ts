// A constant factor or term per input channel goes into the linear operator after it:
// W (s x + t) + b = (W s) x + (W t + b).

import type { Node, Value } from '../../graph/index.ts';
import { floatsOf, floatTensor, isCalculable, scaleAxis } from '../../tensor/scale.ts';
import { perChannel, setConstant } from '../linear.ts';
import { absorbBefore } from '../linear-input.ts';
import { constant, fuse, monomial, onlyReader, operands, producer } from '../match.ts';
import { normalizerAt } from '../norm.ts';
import { type RewriteContext, rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-input-affine',
  summary: 'Folds Mul, Div, Add and Sub by constants into the Conv, Gemm or MatMul after them',
  on: ['Conv', 'Gemm', 'MatMul'],
  apply(node, context) {
    const step = producer(node.input(0), 'Mul', 'Div', 'Add', 'Sub');
    const found = step && affineOf(step, node);
    if (!step || !found || onlyReader(step.output) !== node) return undefined;
    const { x, scale, shift } = found;
    if (isPartOfPattern(step, x))
      return skip('it ends a normalisation or a GELU, which runtimes look for');
    if (![...scale, ...shift].every(Number.isFinite)) return skip('its constant is not finite');
    const reason =
      node.op === 'MatMul'
        ? intoMatMul(node, scale, shift, context)
        : absorbBefore(context, node, { scale, shift });
    if (reason) return skip(reason);
    return fuse(context, [step], step.output, x);
  },
});

/** Whether a step ends a normalisation or a GELU that is written out. */
function isPartOfPattern(step: Node, x: Value): boolean {
  for (const factor of monomial(step.output).powers.keys()) {
    const sum = producer(factor, 'Add');
    if (sum?.inputs.some((value) => producer(value, 'Erf', 'Tanh'))) return true;
  }
  const scaled = step.op === 'Mul' ? [x] : (producer(x, 'Mul')?.inputs ?? []);
  return scaled.some((value) => {
    const core = producer(value, 'Div', 'Mul');
    return core !== undefined && normalizerAt(core) !== undefined;
  });
}

interface Affine {
  readonly x: Value;
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** What a step does to each input channel of the linear operator. */
function affineOf(step: Node, node: Node): Affine | undefined {
  const found = operands(step).find(([x, c]) => constant(c) && !constant(x));
  const rank = step.output.shape?.length;
  const weight = constant(node.input(1))?.shape;
  if (!found || !weight || rank === undefined || found[0].shape?.length !== rank) return undefined;
  const [x, c] = found;
  // c / x and c - x are other functions.
  if (c === step.input(0) && (step.op === 'Div' || step.op === 'Sub')) return undefined;
  const isConv = node.op === 'Conv';
  const channels = isConv
    ? (weight[1] ?? 0) * node.int('group', 1)
    : (weight[node.op === 'Gemm' && node.int('transB', 0) ? 1 : 0] ?? 0);
  const axis = isConv ? 1 : rank - 1;
  const width = x.shape?.[axis];
  // Were x one channel wide, the constant could be what widens it.
  if (width !== channels || (!isConv && weight.length !== 2)) return undefined;
  const values = perChannel({ channels, rank, axis }, c);
  if (!values) return undefined;
  const none = (value: number) => new Float64Array(channels).fill(value);
  if (step.op === 'Mul') return { x, scale: values, shift: none(0) };
  if (step.op === 'Div') return { x, scale: values.map((v) => 1 / v), shift: none(0) };
  return { x, scale: none(1), shift: step.op === 'Sub' ? values.map((v) => -v) : values };
}

/** MatMul has no bias of its own: a shift needs the Add of one after it. */
function intoMatMul(
  node: Node,
  scale: Float64Array,
  shift: Float64Array,
  context: RewriteContext,
): string | undefined {
  const weight = node.input(1);
  const data = constant(weight);
  if (!weight || !data || !isCalculable(data.dtype) || weight.uses.length > 1) {
    return `the weight of ${node.describe()} is shared or not a constant float`;
  }
  if (shift.some((t) => t !== 0)) {
    const reader = onlyReader(node.output);
    const add = reader && producer(reader.output, 'Add');
    const bias = constant(add?.input(1)) ? 1 : 0;
    const terms = constant(add?.input(bias));
    const [rows = 0, columns = 0] = data.shape;
    if (!add || terms?.shape.length !== 1 || terms.size !== columns) {
      return `${node.describe()} has no bias after it`;
    }
    const next = floatsOf(terms);
    const values = floatsOf(data);
    for (let k = 0; k < rows; k++) {
      const t = shift[k] as number;
      for (let n = 0; n < columns; n++) {
        next[n] = (next[n] as number) + t * (values[k * columns + n] as number);
      }
    }
    setConstant(context, add, bias, floatTensor(terms.dtype, terms.shape, next));
  }
  setConstant(context, node, 1, scaleAxis(data, 0, scale));
  return undefined;
}
