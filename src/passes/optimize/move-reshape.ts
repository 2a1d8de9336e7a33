// A Reshape before an elementwise operator and a Reshape after it are one Reshape after it.

import type { Node, Value } from '../../graph/index.ts';
import { knownElements } from '../../ops/index.ts';
import { constant, isOutput, onlyReader, operands, producer, scalar } from '../match.ts';
import { rewrite } from '../pass.ts';

const RESHAPES = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'];

const UNARY =
  `Abs Cast Ceil Clip Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish Neg
  Not Reciprocal Relu Round Selu Sigmoid Sign Softplus Softsign Sqrt Swish Tanh`.split(/\s+/);

const WITH_SCALAR = ['Add', 'Div', 'Max', 'Min', 'Mul', 'Pow', 'Sub'];

export default rewrite({
  name: 'move-reshape',
  summary: 'Moves a Reshape through elementwise operators to the Reshape after them',
  on: 'Reshape',
  apply(node, context) {
    // Only a final Reshape whose sizes say everything does not care what shape comes in.
    const target = node.input(1);
    const sizes = target && knownElements(target);
    if (!sizes || sizes.some((size) => size === 0)) return undefined;
    const steps: { node: Node; index: number }[] = [];
    let value = node.input(0);
    while (value && !producer(value, ...RESHAPES)) {
      const step = elementwise(value);
      if (!step || step.node.graph !== node.graph || onlyReader(value) === undefined)
        return undefined;
      steps.push(step);
      value = step.node.input(step.index);
    }
    const first = value && producer(value, ...RESHAPES);
    const source = first?.input(0);
    const last = steps.at(-1);
    if (!value || !first || !source || !last || onlyReader(value) !== last.node) return undefined;
    // The scalar of a binary step must not have a higher rank than what comes now.
    const rank = source.shape?.length;
    if (rank === undefined || steps.some((step) => scalarRank(step) > rank)) return undefined;
    last.node.setInput(last.index, source);
    retype(steps, source);
    context.graph.remove(first);
    return true;
  },
});

/** The node that makes a value elementwise, and the input whose shape it keeps. */
function elementwise(value: Value): { node: Node; index: number } | undefined {
  const unary = producer(value, ...UNARY);
  if (unary) return { node: unary, index: 0 };
  const binary = producer(value, ...WITH_SCALAR);
  const index =
    binary && operands(binary).length > 0
      ? [1, 0].find((i) => scalar(binary.input(i)) !== undefined)
      : undefined;
  if (!binary || index === undefined || binary.inputs.length !== 2 || isOutput(value))
    return undefined;
  return { node: binary, index: 1 - index };
}

function scalarRank({ node, index }: { node: Node; index: number }): number {
  return constant(node.inputs.length === 2 ? node.input(1 - index) : undefined)?.shape.length ?? 0;
}

/** The steps now have the shape of the source. */
function retype(steps: readonly { node: Node }[], source: Value): void {
  for (const { node } of steps) {
    const { output } = node;
    if (output.type?.kind === 'tensor') output.type = { ...output.type, shape: source.shape };
    node.graph?.declared.delete(output);
  }
}
