// Scan and SequenceMap: bodies that run once for each slice of a tensor or element of a sequence.

import {
  type Dim,
  type Shape,
  type Type,
  tensorType,
  unknownDim,
  type Value,
} from '../graph/index.ts';
import type { InferContext } from './context.ts';
import { stacked } from './control.ts';
import { define, type Inferred } from './op.ts';

function unstacked(type: Type | undefined, axis: number): Type | undefined {
  if (type?.kind !== 'tensor' || !type.shape) return type;
  const at = axis < 0 ? axis + type.shape.length : axis;
  return tensorType(
    type.dtype,
    type.shape.filter((_, i) => i !== at),
  );
}

/** What the versions of Scan write differently. */
interface ScanPorts {
  readonly states: readonly (Value | undefined)[];
  readonly inputs: readonly (Value | undefined)[];
  readonly inputAxes: readonly number[];
  /** Size of the leading batch axis, which opset 8 has. */
  readonly batch: Dim | undefined;
}

function scanPorts(c: InferContext): ScanPorts {
  const isBatched = c.opset < 9;
  const given = c.node.inputs.slice(isBatched ? 1 : 0);
  const stateCount = given.length - c.node.int('num_scan_inputs', 1);
  const inputs = given.slice(stateCount);
  const axes = isBatched ? [] : (c.node.ints('scan_input_axes') ?? []);
  return {
    states: given.slice(0, stateCount),
    inputs,
    inputAxes: inputs.map((_, i) => (isBatched ? 1 : (axes[i] ?? 0))),
    batch: isBatched
      ? (given.find((value) => value?.shape)?.shape?.[0] ?? unknownDim())
      : undefined,
  };
}

function inferScan(c: InferContext): Inferred[] {
  const body = c.node.subgraph('body');
  if (!body) return [];
  const { states, inputs, inputAxes, batch } = scanPorts(c);
  const withoutBatch = (type: Type | undefined) =>
    batch === undefined ? type : unstacked(type, 0);
  const withBatch = (type: Type | undefined) =>
    batch === undefined ? type : stacked(type, 0, batch);
  const taken = [
    ...states.map((value) => withoutBatch(value?.type)),
    ...inputs.map((value, i) => withoutBatch(unstacked(value?.type, inputAxes[i] ?? 0))),
  ];
  body.inputs.forEach((input, i) => {
    input.type = taken[i] ?? input.type;
    input.known = undefined;
  });
  c.inferGraph(body);
  const length = scanLength(c) ?? unknownDim();
  const outputAxes = batch === undefined ? (c.node.ints('scan_output_axes') ?? []) : [];
  return c.node.outputs.map((_, i) => {
    const result = body.outputs[i]?.type;
    // The shape of a state must not change: what goes in says as much as what comes out.
    if (i < states.length) return { type: states[i]?.type ?? withBatch(result) };
    return { type: withBatch(stacked(result, outputAxes[i - states.length] ?? 0, length)) };
  });
}

function scanLength(c: InferContext): Dim | undefined {
  const { inputs, inputAxes } = scanPorts(c);
  const lengths = inputs.flatMap((value, i) => sizeAt(value?.shape, inputAxes[i] ?? 0));
  return lengths.find((dim) => typeof dim === 'number') ?? lengths[0];
}

function sizeAt(shape: Shape | undefined, axis: number): Dim[] {
  const dim = shape?.at(axis);
  return dim === undefined ? [] : [dim];
}

/** The body sees one element of each sequence; tensors are the same for all. */
function inferSequenceMap(c: InferContext): Inferred[] {
  const body = c.node.subgraph('body');
  if (!body) return [];
  body.inputs.forEach((input, i) => {
    const type = c.type(i);
    input.type = (type?.kind === 'sequence' ? type.element : type) ?? input.type;
    input.known = undefined;
  });
  c.inferGraph(body);
  return c.node.outputs.map((_, i) => ({
    type: { kind: 'sequence', element: body.outputs[i]?.type },
  }));
}

define(
  { op: 'Scan', infer: inferScan, runs: scanLength },
  { op: 'SequenceMap', infer: inferSequenceMap, runs: () => undefined },
);
