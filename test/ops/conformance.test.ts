// Type and shape inference against the ONNX operator tests, types declared inside of the models
// forgotten. Each case is inferred with its inputs fed, with small inputs as constants (shapes, axes,
// sizes: what exporters write as such), and with a symbol for every size that is fed. Element type and
// rank must be known and right, and every size that follows from the shapes of the inputs and from the
// constants; what is symbolic must come out right once the sizes are put in.

import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Dim,
  graphsOf,
  isUnknown,
  type Model,
  substitute,
  symbol,
  type Type,
  tensorType,
  type Value,
} from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { dtypeOf, isInteger } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import {
  type Expected,
  expectedOf,
  type NodeTest,
  nodeTests,
  readTensorFile,
  readTensorFiles,
} from '../helpers/node-tests.ts';

const MODES = ['fed', 'constant', 'symbolic'] as const;
type Mode = (typeof MODES)[number];

interface Verdict {
  readonly name: string;
  readonly op: string;
  readonly contradictions: readonly string[];
  /** What is right but not known, though it follows from what is given. */
  readonly gaps: readonly string[];
}

// Cases that onnxruntime fails count as well: what they expect is the specification's word.
const LISTS = ['pass', 'unsup', 'mismatch', 'norun', 'noload'] as const;
const tests = LISTS.flatMap((list) => nodeTests(list));

/** Sizes that depend on values, not on shapes: of output `output`, axis `axis`. */
const DATA_DEPENDENT: Readonly<Record<string, (output: number, axis: number) => boolean>> = {
  ImageDecoder: (_, axis) => axis < 2,
  NonMaxSuppression: (_, axis) => axis === 0,
  NonZero: (_, axis) => axis === 1,
  StringNormalizer: () => true,
  StringSplit: (output) => output === 0,
  Unique: (output) => output !== 2,
};

/** What a case is about: its only node, or the last one of its small graph. */
function operatorOf(model: Model): string {
  const node = [...model.graph.nodes].at(-1);
  return node?.domain ? `${node.domain}.${node.op}` : (node?.op ?? '');
}

/** Forgets every declared type but those of inputs, which get the shapes of the test data. */
function prepare(test: NodeTest, mode: Mode, sizes: Map<string, Dim>) {
  const model = readModel(join(test.folder, 'model.onnx'));
  const kinds = model.graph.outputs.map((output) => output.type?.kind ?? 'tensor');
  for (const graph of graphsOf(model.graph)) {
    for (const node of graph.nodes) for (const output of node.outputs) output.type = undefined;
  }
  model.graph.inputs.forEach((input, i) => {
    const proto = input.type?.kind === 'tensor' ? readTensorFile(test, 'input', i) : undefined;
    if (!proto) return;
    const { dtype, shape = [] } = expectedOf(proto);
    const data = mode === 'constant' ? smallTensor(proto) : undefined;
    if (data) makeConstant(model, input, data);
    else if (mode !== 'symbolic') input.type = tensorType(dtype, shape);
    else {
      const dims = shape.map((size, axis) => {
        sizes.set(`d${i}_${axis}`, size);
        return symbol(`d${i}_${axis}`);
      });
      input.type = tensorType(dtype, dims);
    }
  });
  return { model, kinds };
}

function makeConstant(model: Model, input: Value, data: Tensor): void {
  model.graph.inputs = model.graph.inputs.filter((value) => value !== input);
  input.type = tensorType(data.dtype, data.shape);
  input.data = data;
  model.graph.initializers.add(input);
}

/** Small inputs of up to one axis: axes, sizes, scales, truths, bounds. */
function smallTensor(proto: NonNullable<ReturnType<typeof readTensorFile>>): Tensor | undefined {
  const dtype = dtypeOf(proto.dataType ?? 0);
  const shape = (proto.dims ?? []).map(Number);
  const raw = proto.rawData ?? new Uint8Array();
  const isEmpty = shape.includes(0);
  if (!dtype || shape.length > 1 || (raw.length === 0 && !isEmpty) || raw.length > 256)
    return undefined;
  if (!isInteger(dtype) && !['float32', 'float64', 'bool'].includes(dtype)) return undefined;
  return Tensor.fromBytes(dtype, shape, new Uint8Array(raw));
}

function judge(test: NodeTest): Verdict {
  const contradictions: string[] = [];
  const gaps: string[] = [];
  let op = '';
  for (const mode of MODES) {
    const sizes = new Map<string, Dim>();
    const { model, kinds } = prepare(test, mode, sizes);
    op = operatorOf(model);
    for (const problem of inferTypes(model)) contradictions.push(problem.message);
    model.graph.outputs.forEach((output, i) => {
      const protos = readTensorFiles(test, 'output', i, kinds[i] ?? 'tensor');
      if (!protos) return;
      const found = compare(output.type, kinds[i] ?? 'tensor', protos.map(expectedOf), sizes);
      const label = `${mode}, ${output.name}`;
      if (found.contradiction) contradictions.push(`${label}: ${found.contradiction}`);
      if (found.gap) gaps.push(`${label}: ${found.gap}`);
      const isOpen = (axis: number) => DATA_DEPENDENT[op]?.(i, axis) !== true;
      const open = found.open.filter(isOpen);
      // Without the constants rank and sizes may be open, and symbols may hide what is broadcast.
      if (mode === 'constant' && open.length > 0) gaps.push(`${label}: ${found.text}`);
      if (mode === 'constant' && found.noRank) gaps.push(`${label}: no rank`);
    });
  }
  return { name: test.name, op, contradictions, gaps };
}

interface Comparison {
  readonly contradiction?: string;
  readonly gap?: string;
  readonly noRank?: boolean;
  readonly text?: string;
  /** Axes whose sizes are not known. */
  readonly open: readonly number[];
}

/** Our type of an output against all tensors it consists of. */
function compare(
  type: Type | undefined,
  kind: string,
  expected: readonly Expected[],
  sizes: ReadonlyMap<string, Dim>,
): Comparison {
  if (!type) return { gap: 'no type', open: [] };
  if (type.kind !== kind) return { contradiction: `${type.kind}, expected ${kind}`, open: [] };
  const inner = elementOf(type);
  if (inner?.kind !== 'tensor') return { gap: `no element of the ${kind}`, open: [] };
  const wrong = expected.find(({ dtype }) => inner.dtype && inner.dtype !== dtype);
  if (wrong) return { contradiction: `${inner.dtype}, expected ${wrong.dtype}`, open: [] };
  if (inner.dtype === undefined) return { gap: 'no element type', open: [] };
  // Elements of a sequence may be of any shape.
  if (inner.shape === undefined) return { noRank: kind === 'tensor', open: [] };
  const dims = inner.shape.map((dim) => substitute(dim, sizes));
  const text = `[${inner.shape.join(', ')}]`;
  const clash = expected.find(
    ({ shape = [] }) =>
      shape.length !== dims.length ||
      dims.some((dim, i) => typeof dim === 'number' && dim !== shape[i]),
  );
  if (clash) return { contradiction: `${text}, expected [${clash.shape?.join(', ')}]`, open: [] };
  const open = dims.flatMap((dim, axis) =>
    typeof dim !== 'number' && isUnknown(dim) && kind === 'tensor' ? [axis] : [],
  );
  return { open, text: `${text}, expected [${expected[0]?.shape?.join(', ')}]` };
}

function elementOf(type: Type | undefined): Type | undefined {
  const isNested = type?.kind === 'sequence' || type?.kind === 'optional';
  return isNested ? elementOf(type.element) : type;
}

describe('inference agrees with the ONNX operator tests', () => {
  let verdicts: Verdict[] = [];
  beforeAll(() => {
    verdicts = tests.map(judge);
  });

  it('contradicts none of them', () => {
    const wrong = verdicts.filter((v) => v.contradictions.length > 0);
    expect(wrong.map((v) => `${v.name}: ${v.contradictions[0]}`)).toEqual([]);
  });

  it('covers 98 % of the cases', () => {
    if (verdicts.length === 0) return;
    const byOp = new Map<string, Verdict[]>();
    for (const v of verdicts) byOp.set(v.op, [...(byOp.get(v.op) ?? []), v]);
    const isCovered = (v: Verdict) => v.gaps.length === 0 && v.contradictions.length === 0;
    const covered = verdicts.filter(isCovered).length;
    const partial = [...byOp].flatMap(([op, all]) => {
      const right = all.filter(isCovered).length;
      const example = all.find((v) => !isCovered(v));
      if (!example) return [];
      return [`  ${op}: ${right} of ${all.length}, such as ${example.name} (${example.gaps[0]})`];
    });
    process.stdout.write(
      `inference covers ${covered} of ${verdicts.length} cases, ${byOp.size} operators\n${partial.join('\n')}\n`,
    );
    expect(covered / verdicts.length).toBeGreaterThanOrEqual(0.98);
  });
});
