// What may hurt: broken structure, what the runtime will refuse, waste.

import {
  allGraphs,
  checkModel,
  isUnknown,
  type Model,
  type Problem,
  printShape,
  symbolsOf,
} from '../graph/index.ts';
import { lookup } from '../ops/index.ts';
import { groupEqual } from '../tensor/hash.ts';
import { weightsOf } from './summary.ts';

/** What onnxruntime 1.30 reads. */
const MAX_OPSET = 26;
const MAX_IR_VERSION = 13;
/** Smaller ones are shape constants, where a copy costs nothing. */
const MIN_DUPLICATE_BYTES = 1024;

/** Problems in the order of their weight; `typeProblems` come from inference. */
export async function findProblems(
  model: Model,
  typeProblems: readonly Problem[],
): Promise<Problem[]> {
  return [
    ...checkModel(model),
    ...runtimeProblems(model),
    ...typeProblems,
    ...interfaceProblems(model),
    ...unusedWeights(model),
    ...(await duplicateWeights(model)),
  ];
}

function runtimeProblems(model: Model): Problem[] {
  const problems: Problem[] = [];
  if (model.opset > MAX_OPSET) {
    problems.push({
      code: 'opset-too-new',
      message: `opset ${model.opset} is newer than ${MAX_OPSET}, the newest that the runtime knows`,
    });
  }
  if (model.irVersion > MAX_IR_VERSION) {
    problems.push({
      code: 'ir-too-new',
      message: `IR version ${model.irVersion} is newer than ${MAX_IR_VERSION}, the newest that the runtime reads`,
    });
  }
  const custom = new Map<string, number>();
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) {
      if (lookup(node) || model.functionOf(node.op, node.domain)) continue;
      const name = `${node.domain || 'ai.onnx'}.${node.op}`;
      custom.set(name, (custom.get(name) ?? 0) + 1);
    }
  }
  for (const [name, count] of custom) {
    problems.push({
      code: 'unknown-operator',
      message: `"${name}" (${count} nodes) is no operator that xform knows: it is kept as it is`,
    });
  }
  return problems;
}

function interfaceProblems(model: Model): Problem[] {
  const problems: Problem[] = [];
  const { graph } = model;
  const overridable = graph.inputs.filter((value) => value.data);
  if (overridable.length > 0) {
    problems.push({
      code: 'weights-as-inputs',
      message: `${overridable.length} initializers are graph inputs too, so no optimisation may rely on them; optimize removes them from the inputs`,
    });
  }
  for (const input of graph.inputs) {
    if (input.data) continue;
    const symbols = [...new Set((input.shape ?? []).flatMap(symbolsOf))];
    if (input.shape && symbols.length === 0) continue;
    const named = symbols.filter((name) => !name.startsWith('?'));
    problems.push({
      code: 'dynamic-shape',
      message: `input "${input.name}" has the dynamic shape ${printShape(input.shape)}${
        named.length ? `; --set ${named[0]}=1 fixes one` : ''
      }`,
    });
  }
  const open = graph.outputs.filter(
    (v) => v.type?.kind === 'tensor' && (!v.shape || v.shape.some(isUnknown)),
  );
  for (const output of open) {
    problems.push({
      code: 'unknown-shape',
      message: `the shape of output "${output.name}" depends on data: ${printShape(output.shape)}`,
    });
  }
  return problems;
}

function unusedWeights(model: Model): Problem[] {
  const unused = [...allGraphs(model)].flatMap((graph) =>
    [...graph.initializers].filter((v) => v.uses.length === 0 && !graph.outputs.includes(v)),
  );
  if (unused.length === 0) return [];
  const bytes = unused.reduce((sum, value) => sum + (value.data?.byteLength ?? 0), 0);
  return [
    {
      code: 'unused-weights',
      message: `${unused.length} initializers (${bytes} bytes) are read by nothing, such as "${unused[0]?.name}"`,
    },
  ];
}

async function duplicateWeights(model: Model): Promise<Problem[]> {
  const weights = weightsOf(model).flatMap(({ name, data }) =>
    data && data.byteLength >= MIN_DUPLICATE_BYTES ? [{ name, data }] : [],
  );
  const groups = await groupEqual(weights, ({ data }) => data);
  const copies = groups.flatMap((group) => group.slice(1));
  const [first, second] = groups[0] ?? [];
  if (!first || !second) return [];
  const bytes = copies.reduce((sum, { data }) => sum + data.byteLength, 0);
  return [
    {
      code: 'duplicate-weights',
      message: `${copies.length} initializers (${bytes} bytes) are copies of others: "${second.name}" equals "${first.name}"`,
    },
  ];
}
