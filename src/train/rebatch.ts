// Models are often exported for one sample; training wants many. Gives the inputs another first size
// and lets constant shapes that repeat the old one follow.

import {
  type Dim,
  type Model,
  type Node,
  symbolsOf,
  tensorType,
  unknownDim,
  type Value,
} from '../graph/index.ts';
import { constantData, inferTypes } from '../ops/index.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Sets the batch size of a typed model in place, and infers all types anew. */
export function setBatch(model: Model, batch: number): void {
  const inputs = model.graph.inputs.filter((value) => !value.data);
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
