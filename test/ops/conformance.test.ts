// Type and shape inference against the ONNX operator tests: for every case that onnxruntime passes,
// the inferred type and rank are those of the expected outputs, and so is every size that follows
// from the shapes of the inputs and from small integer inputs (shapes, axes, sizes).

import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { type Model, type Node, tensorType, type Value } from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { type DType, dtypeOf, isInteger } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { expectedOf, type NodeTest, nodeTests, readTensorFile } from '../helpers/node-tests.ts';

interface Verdict {
  readonly test: NodeTest;
  readonly op: string;
  /** Type and rank known and right, in both ways of giving the inputs, sizes right. */
  readonly covered: boolean;
  readonly contradictions: readonly string[];
  readonly gaps: readonly string[];
}

const tests = nodeTests();

/** What the operators of the case compute: a single node's, or a small graph's main operator. */
function operatorOf(model: Model): string {
  const nodes = [...model.graph.nodes];
  const last = nodes.at(-1) as Node;
  return last.domain ? `${last.domain}.${last.op}` : last.op;
}

/** Forgets every declared type but the inputs', which get the shapes of the test data. */
function prepare(test: NodeTest, asConstants: boolean): Model {
  const model = readModel(join(test.folder, 'model.onnx'));
  for (const graph of [model.graph]) {
    for (const node of graph.nodes) for (const output of node.outputs) output.type = undefined;
  }
  model.graph.inputs.forEach((input, i) => {
    if (input.type?.kind !== 'tensor') return;
    const proto = readTensorFile(test, 'input', i);
    if (!proto) return;
    const { dtype, shape = [] } = expectedOf(proto);
    input.type = tensorType(dtype, shape);
    const data = asConstants ? smallTensor(proto) : undefined;
    if (data) makeConstant(model, input, data);
  });
  return model;
}

function makeConstant(model: Model, input: Value, data: Tensor): void {
  model.graph.inputs = model.graph.inputs.filter((value) => value !== input);
  input.data = data;
  model.graph.initializers.add(input);
}

/** Small integer (and, for Resize's scales, float) inputs: what exporters give as constants. */
function smallTensor(proto: NonNullable<ReturnType<typeof readTensorFile>>): Tensor | undefined {
  const dtype = dtypeOf(proto.dataType ?? 0) as DType;
  const shape = (proto.dims ?? []).map(Number);
  const raw = proto.rawData;
  if (shape.length > 1 || !raw?.length || raw.length > 256) return undefined;
  if (!isInteger(dtype) && !['float32', 'float64', 'bool'].includes(dtype)) return undefined;
  return Tensor.fromBytes(dtype, shape, new Uint8Array(raw));
}

function judge(test: NodeTest): Verdict {
  const contradictions: string[] = [];
  const gaps: string[] = [];
  let op = '';
  for (const asConstants of [false, true]) {
    const model = prepare(test, asConstants);
    op = operatorOf(model);
    for (const problem of inferTypes(model)) contradictions.push(problem.message);
    model.graph.outputs.forEach((output, i) => {
      compare(test, output, i, asConstants, contradictions, gaps);
    });
  }
  return {
    test,
    op,
    covered: gaps.length === 0 && contradictions.length === 0,
    contradictions,
    gaps,
  };
}

function compare(
  test: NodeTest,
  output: Value,
  index: number,
  asConstants: boolean,
  contradictions: string[],
  gaps: string[],
): void {
  const { type } = output;
  const proto = readTensorFile(test, 'output', index);
  if (!proto) return;
  if (!type) {
    gaps.push(`${output.name}: no type`);
    return;
  }
  // Sequences and optionals: the file's message is another one; the kind must be known.
  if (type.kind !== 'tensor') return;
  const { dtype, shape = [] } = expectedOf(proto);
  if (type.dtype === undefined) gaps.push(`${output.name}: no element type`);
  else if (type.dtype !== dtype)
    contradictions.push(`${output.name}: ${type.dtype}, expected ${dtype}`);
  if (type.shape === undefined) {
    // Without the constants even the rank may be open.
    if (asConstants) gaps.push(`${output.name}: no rank`);
    return;
  }
  const text = `[${type.shape.join(', ')}], expected [${shape.join(', ')}]`;
  if (type.shape.length !== shape.length) {
    contradictions.push(`${output.name}: ${text}`);
    return;
  }
  if (type.shape.some((dim, i) => typeof dim === 'number' && dim !== shape[i])) {
    contradictions.push(`${output.name}: ${text}`);
  }
  const open = type.shape.some((dim) => typeof dim !== 'number');
  if (asConstants && open && !dependsOnData(test)) gaps.push(`${output.name}: ${text}`);
}

/** Operators whose sizes depend on values, not on shapes. */
const DATA_DEPENDENT = [
  'nonzero',
  'compress',
  'unique',
  'nonmaxsuppression',
  'string_split',
  'strnormalizer',
  'image_decoder',
  'split_to_sequence',
  'sequence',
  'loop',
  'optional',
  'if_opt',
];

function dependsOnData(test: NodeTest): boolean {
  return DATA_DEPENDENT.some((word) => test.name.includes(word));
}

describe('inference agrees with the ONNX operator tests', () => {
  let verdicts: Verdict[] = [];
  beforeAll(() => {
    verdicts = tests.map(judge);
  });

  it('contradicts none of them', () => {
    const wrong = verdicts.filter((v) => v.contradictions.length > 0);
    expect(wrong.map((v) => `${v.test.name}: ${v.contradictions[0]}`)).toEqual([]);
  });

  it('covers 98 % of the cases', () => {
    if (verdicts.length === 0) return;
    const covered = verdicts.filter((v) => v.covered).length;
    const byOp = new Map<string, Verdict[]>();
    for (const v of verdicts) byOp.set(v.op, [...(byOp.get(v.op) ?? []), v]);
    const partial = [...byOp]
      .map(([op, list]) => ({
        op,
        all: list.length,
        right: list.filter((v) => v.covered).length,
        list,
      }))
      .filter(({ all, right }) => right < all)
      .map(
        ({ op, all, right, list }) =>
          `  ${op}: ${right} of ${all}, such as ${list.find((v) => !v.covered)?.test.name} (${list.find((v) => !v.covered)?.gaps[0]})`,
      );
    process.stdout.write(
      `inference covers ${covered} of ${verdicts.length} cases, ${byOp.size} operators\n${partial.join('\n')}\n`,
    );
    expect(covered / verdicts.length).toBeGreaterThanOrEqual(0.98);
  });
});
