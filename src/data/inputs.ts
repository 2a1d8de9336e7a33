// What a model takes: its inputs as data has to fill them, with the bound that keeps random integers
// inside the embedding tables they index.

import {
  type Dim,
  type Model,
  type Node,
  printType,
  type Use,
  unknownDim,
  type Value,
} from '../graph/index.ts';
import { isInteger } from '../tensor/dtype.ts';
import type { InputSpec } from './dataset.ts';

/** An input with what the graph tells about its values. */
export interface BoundedInput extends InputSpec {
  /** Integers must stay below this: the rows of the table they index. */
  readonly below?: number;
}

/** An input whose sizes are all known. */
export interface SizedInput extends BoundedInput {
  readonly shape: readonly number[];
}

/** Inputs that have to be fed: those without a default value. Sequences and the like are left out. */
export function inputSpecs(model: Model): BoundedInput[] {
  return model.graph.inputs.flatMap((value) => {
    if (value.data || value.type?.kind !== 'tensor' || !value.dtype) return [];
    const below = isInteger(value.dtype) ? indexBound(value) : undefined;
    const { name, dtype } = value;
    // Some exporters write -1 where a size is open.
    const open = (dim: Dim) => (typeof dim === 'number' && dim < 0 ? unknownDim() : dim);
    const shape = (value.shape ?? []).map(open);
    return [{ name, dtype, shape, ...(below === undefined ? {} : { below }) }];
  });
}

/** Inputs that no tensor can feed, with their types. */
export function unfeedableInputs(model: Model): string[] {
  return model.graph.inputs
    .filter((value) => !value.data && (value.type?.kind !== 'tensor' || !value.dtype))
    .map((value) => `"${value.name}" (${printType(value.type)})`);
}

/** Operators that hand the elements of input 0 on as they are. */
const CARRIERS = new Set([
  ...['Cast', 'Reshape', 'Unsqueeze', 'Squeeze', 'Flatten', 'Transpose', 'Identity'],
  ...['Slice', 'Expand', 'Tile', 'Split', 'Concat'],
]);

/** Index inputs of operators: [position of the indices, position of the table]. */
const LOOKUPS: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  Gather: [[1, 0]],
  EmbedLayerNormalization: [
    [0, 2],
    [1, 4],
    [7, 3],
  ],
  GatherBlockQuantized: [[1, 0]],
};

/** The smallest table that the value's elements index, through operators that only move them. */
function indexBound(value: Value, seen = new Set<Value>()): number | undefined {
  if (seen.has(value)) return undefined;
  seen.add(value);
  const bounds = value.uses.flatMap((use) => {
    const bound = CARRIERS.has(use.node.op)
      ? smallest(use.node.outputs.map((output) => indexBound(output, seen)))
      : boundOfUse(use);
    return bound === undefined ? [] : [bound];
  });
  return smallest(bounds);
}

function boundOfUse({ node, index }: Use): number | undefined {
  if (node.op === 'OneHot' && index === 0) return constantScalar(node.inputs[1]);
  const row = LOOKUPS[node.op]?.find(([indices]) => indices === index);
  return row && tableRows(node, node.inputs[row[1]]);
}

function tableRows(node: Node, table: Value | undefined): number | undefined {
  const { shape } = table ?? {};
  if (!shape) return undefined;
  const axis = node.int('axis', node.int('gather_axis', 0));
  const rows = shape[axis < 0 ? axis + shape.length : axis];
  return typeof rows === 'number' && rows > 0 ? rows : undefined;
}

function constantScalar(value: Value | undefined): number | undefined {
  const data = value?.data ?? value?.producer?.tensor('value');
  if (data?.size !== 1 || data.isDerived || !isInteger(data.dtype)) return undefined;
  return data.numbers()[0];
}

function smallest(numbers: readonly (number | undefined)[]): number | undefined {
  const known = numbers.filter((n) => n !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}
