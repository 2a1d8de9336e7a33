// K training steps as one run: a step becomes the body of an ONNX Loop. What is new in each step is
// stacked along a first axis, [K, …]; state goes round from step to step and never leaves the
// provider in between; what is reported comes out stacked again. Inputs that are neither (the frozen
// weights of a validation run) are read from outside the body.

import {
  type Dim,
  dropUnread,
  Graph,
  Model,
  Node,
  symbol,
  tensorType,
  toAttrs,
  Value,
} from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';

/** State of a step: where it comes in, and what it has become. Same type and shape. */
export interface Carried {
  readonly input: Value;
  readonly output: Value;
}

export interface Step {
  /** Its graph is one step; inputs are those named here and inputs that are the same in all steps. */
  readonly model: Model;
  readonly perStep: readonly Value[];
  readonly carried: readonly Carried[];
  readonly reported: readonly Value[];
}

/** The name of the input that says how many steps to take. */
export const STEPS = 'steps';
/** State comes out under its own name with this before it. */
export const NEXT = 'next/';

/** The step K times over. The step's model is used up. */
export function loopOver(step: Step): Model {
  const body = step.model.graph;
  const outer = new Graph('steps');
  const { model } = step;
  for (const value of body.initializers) outer.initializers.add(value);
  body.initializers.clear();

  const taken = new Set([...step.perStep, ...step.carried.map(({ input }) => input)]);
  outer.inputs.push(new Value(STEPS, tensorType('int64', [])));
  outer.inputs.push(...body.inputs.filter((value) => !taken.has(value)));
  const iteration = new Value(body.fresh('iteration'), tensorType('int64', []));
  const goOn = new Value(body.fresh('go_on'), tensorType('bool', []));
  for (const value of step.perStep) outer.inputs.push(slices(body, value, iteration));

  const first = step.carried.map(({ input }) => {
    const start = new Value(input.name, input.type);
    input.name = body.fresh(`${input.name}/now`);
    return start;
  });
  outer.inputs.push(...first);
  body.inputs = [iteration, goOn, ...step.carried.map(({ input }) => input)];
  body.outputs = [];
  const results = [goOn, ...step.carried.map(({ output }) => output), ...step.reported];
  for (const value of results) body.outputs.push(ownResult(body, value));
  // Logits that an objective made anew, for some positions only: onnxruntime would compute all of them.
  dropUnread(body);

  const always = outer.addInitializer(body.fresh('always'), Tensor.of('bool', [], [1]));
  const last = step.carried.map(
    ({ output }, i) => new Value(`${NEXT}${first[i]?.name}`, output.type),
  );
  const reports = body.outputs
    .slice(-step.reported.length || body.outputs.length)
    .map(
      (value) =>
        new Value(`all/${value.name}`, tensorType(value.dtype, [symbol('k'), ...dimsOf(value)])),
    );
  outer.append(
    new Node({
      op: 'Loop',
      domain: '',
      name: 'steps',
      inputs: [outer.inputs[0], always, ...first],
      outputs: [...last, ...reports],
      attrs: toAttrs({ body }),
    }),
  );
  outer.outputs = [...last, ...reports];
  return Object.assign(new Model(outer, model.opsets, model.irVersion), {
    functions: model.functions,
  });
}

/** Gives the readers of a per-step input the slice of this step; returns the stacked input. */
function slices(body: Graph, value: Value, iteration: Value): Value {
  const { name } = value;
  value.name = body.fresh(`${name}/now`);
  const stack = new Value(name, tensorType(value.dtype, [symbol('k'), ...dimsOf(value)]));
  const slice = new Value(body.fresh(`${name}/slice`), value.type);
  for (const { node, index } of [...value.uses]) node.setInput(index, slice);
  const gather = new Node({
    op: 'Gather',
    domain: '',
    name: slice.name,
    inputs: [stack, iteration],
    outputs: [slice],
    attrs: toAttrs({ axis: 0 }),
  });
  const [start] = body.nodes;
  if (start) body.insertBefore(start, gather);
  else body.append(gather);
  return stack;
}

/** A result of the body has to be made in it, and once. */
function ownResult(body: Graph, value: Value): Value {
  if (value.producer?.graph === body && !body.outputs.includes(value)) return value;
  const copy = new Value(body.fresh(`${value.name}/kept`), value.type);
  body.append(
    new Node({ op: 'Identity', domain: '', name: copy.name, inputs: [value], outputs: [copy] }),
  );
  return copy;
}

function dimsOf(value: Value): readonly Dim[] {
  return value.shape ?? [];
}
