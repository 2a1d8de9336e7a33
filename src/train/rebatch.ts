// Models are often exported for one sample; training wants many. Gives the inputs another first size
// and lets constant shapes that repeat the old one follow.

import { batchIsFixed } from '../errors/train.ts';
import {
  Builder,
  type Dim,
  dependenciesOf,
  isStatic,
  type Model,
  type Node,
  symbolsOf,
  tensorType,
  unknownDim,
  type Value,
} from '../graph/index.ts';
import { constantData, inferNode, inferTypes } from '../ops/index.ts';
import { Tensor } from '../tensor/tensor.ts';

/**
 * Sets the batch size of a typed model in place, and infers all types anew. Throws where a node needs
 * the old size: it would have results of unknown sizes, or none.
 */
export function setBatch(model: Model, batch: number): void {
  const inputs = model.graph.inputs.filter((value) => !value.data);
  const settled = [...model.graph.nodes].filter(hasKnownSizes);
  const old = inputs.find(({ shape }) => typeof shape?.[0] === 'number')?.shape?.[0];
  if (typeof old === 'number' && old !== batch) followShapes(model, old);
  const symbols = new Map<string, Dim>();
  for (const value of inputs) {
    const [first, ...rest] = value.shape ?? [];
    if (first === undefined || (typeof first === 'number' && first !== old)) continue;
    if (typeof first !== 'number') for (const name of symbolsOf(first)) symbols.set(name, batch);
    value.type = tensorType(value.dtype, [batch, ...rest]);
  }
  forget(model);
  inferTypes(model);
  if (old === 1 && batch > 1) repeatConstants(model, batch);
  const broken = settled.find((node) => !hasKnownSizes(node));
  if (broken && typeof old === 'number') throw batchIsFixed(broken, old, batch);
}

/**
 * What does not come from the inputs was made for one sample. Most of it is broadcast; what stands
 * beside a batch in a Concat (a class token, padding), or is the first state of a recurrent layer, is not.
 */
function repeatConstants(model: Model, batch: number): void {
  let found = true;
  while (found) {
    const computed = fromInputs(model);
    found = false;
    for (const node of [...model.graph.nodes]) {
      for (const [index, axis] of batchAxes(node)) {
        const value = node.inputs[index];
        const isBeside = node.inputs.some(
          (other) => other && computed.has(other) && other.shape?.[axis] === batch,
        );
        if (!value || computed.has(value) || value.shape?.[axis] !== 1 || !isBeside) continue;
        node.setInput(index, repeated(model, node, value, axis, batch));
        found = true;
      }
    }
    if (found) inferTypes(model);
  }
}

/** Inputs whose size along an axis has to be that of the batch, as far as the node alone tells. */
function batchAxes(node: Node): (readonly [index: number, axis: number])[] {
  if (STATES[node.op]) return (STATES[node.op] ?? []).map((index) => [index, 1]);
  const rank = node.outputs[0]?.shape?.length ?? node.inputs[0]?.shape?.length ?? 0;
  const isOther =
    node.op === 'Concat' && node.int('axis', 0) !== 0 && node.int('axis', 0) !== -rank;
  return isOther ? node.inputs.map((_, index) => [index, 0]) : [];
}

/** First states of recurrent layers. */
const STATES: Readonly<Record<string, readonly number[]>> = { LSTM: [5, 6], GRU: [5], RNN: [5] };

function repeated(model: Model, node: Node, value: Value, axis: number, batch: number): Value {
  const g = new Builder(model.graph, node, (made) => inferNode(model, made));
  const shape = (value.shape ?? []).map((dim, i) => (i === axis ? batch : Number(dim)));
  return g.op('Expand', [value, g.constant(`${value.name}/sizes`, Tensor.int64(shape))]);
}

/** Values of the main graph that depend on what is fed. */
function fromInputs(model: Model): Set<Value> {
  const found = new Set(model.graph.inputs.filter((value) => !value.data));
  for (const node of model.graph.nodes) {
    if (![...dependenciesOf(node)].some((value) => found.has(value))) continue;
    for (const output of node.outputs) found.add(output);
  }
  return found;
}

function hasKnownSizes({ outputs }: Node): boolean {
  return outputs.every(({ name, shape }) => !name || (shape && isStatic(shape)));
}

/** Types that follow from the inputs are inferred again. */
function forget(model: Model): void {
  for (const node of model.graph.nodes) {
    for (const output of node.outputs) {
      if (output.type?.kind !== 'tensor') continue;
      const shape = output.shape?.map(() => unknownDim());
      output.type = tensorType(output.dtype, shape);
      output.known = undefined;
    }
  }
}

/** Reshape to [old, …] becomes [-1, …], or [0, …] where another size is open already. */
function followShapes(model: Model, old: number): void {
  const made = new Map<Value, Value>();
  for (const node of [...model.graph.nodes]) {
    const shape = node.op === 'Reshape' ? node.inputs[1] : undefined;
    const target = shape && targetOf(node, shape, old);
    if (!shape || !target) continue;
    const own = made.get(shape) ?? model.graph.addInitializer(`${shape.name}/batch`, target);
    made.set(shape, own);
    node.setInput(1, own);
  }
}

function targetOf(node: Node, shape: Value, old: number): Tensor | undefined {
  const sizes = constantData(shape)?.numbers();
  if (!sizes || sizes[0] !== old) return undefined;
  const isSameFirst = node.inputs[0]?.shape?.[0] === old;
  if (sizes.includes(-1)) return isSameFirst ? Tensor.int64([0, ...sizes.slice(1)]) : undefined;
  return Tensor.int64([-1, ...sizes.slice(1)]);
}
