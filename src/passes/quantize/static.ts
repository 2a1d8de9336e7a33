// Static quantisation: activations get scales from calibration, weights their own, per channel. The
// result is in QDQ form: float operators between QuantizeLinear and DequantizeLinear, which runtimes
// fuse into integer kernels (ONNX specification, QuantizeLinear; onnxruntime, "Quantize ONNX models").

import { noCalibrationData } from '../../errors/calibrate.ts';
import type { Model, Node, Value } from '../../graph/index.ts';
import { allGraphs } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import { type Affine, affineOf, type Range } from '../../tensor/affine.ts';
import { upgradeOpset } from '../upgrade/index.ts';
import type { Precision, QuantizeContext } from './context.ts';
import { Float8, type Float8Type } from './float8.ts';
import { toQOperators } from './qoperator.ts';
import { insertPairs, type Scale } from './static-insert.ts';
import { planStatic, type StaticPlan } from './static-plan.ts';
import { quantizeOperands } from './static-weights.ts';

export interface StaticOptions {
  readonly activations: 'uint8' | 'int8' | 'uint16' | 'int16';
  readonly weights: 'int8' | 'uint8';
  readonly perChannel: boolean;
  readonly symmetricActivations: boolean;
  readonly reduceRange: boolean;
  readonly format: 'qdq' | 'qoperator';
  /** Float8 instead of integers, for activations and weights. */
  readonly float8?: Float8Type | undefined;
}

/** Edits the model in place. */
export async function quantizeStatic(
  model: Model,
  options: StaticOptions,
  context: QuantizeContext,
): Promise<void> {
  const blocked = lift(model, options);
  inferTypes(model);
  tellInnerGraphs(model, context);
  if (blocked) {
    for (const node of model.graph.nodes) {
      if (quantizeRole(node)?.kind === 'product') context.decide(node, 'float', blocked);
    }
    return;
  }
  const plan = planStatic(model, { joins: !options.symmetricActivations }, context);
  if (options.float8 && context.target.name !== 'cuda') {
    await storeInFloat8(model, plan, options, context);
    return;
  }
  const { calibration } = context;
  if (!calibration) throw noCalibrationData('static quantisation');
  const scales = await scalesOf(plan, options, (names) => calibration.ranges(model, names));
  const unseen = giveUpUnseen(plan, scales, context);
  const products = [...plan.products].filter((node) => !unseen.has(node));
  await quantizeOperands(model, products, scales, options, context);
  insertPairs(model, scales);
  for (const node of products) context.decide(node, precisionOf(options));
  if (options.format === 'qoperator') toQOperators(model);
  inferTypes(model);
}

/** onnxruntime's processors multiply no float8, and refuse graphs that ask for it: weights alone. */
async function storeInFloat8(
  model: Model,
  plan: StaticPlan,
  options: StaticOptions,
  context: QuantizeContext,
): Promise<void> {
  await quantizeOperands(model, [...plan.products], new Map(), options, context);
  const reason = `only its weight: ${context.target.name} has no kernel for products of float8`;
  for (const node of plan.products) context.decide(node, 'fp8', reason);
  inferTypes(model);
}

function precisionOf({ activations, float8 }: StaticOptions): Precision {
  if (float8) return 'fp8';
  return activations.endsWith('16') ? 'int16' : 'int8';
}

/** Per-channel scales came with opset 13, float8 with 19, 16 bits with 21. */
function lift(model: Model, { activations, float8 }: StaticOptions): string | undefined {
  const needed = activations.endsWith('16') && !float8 ? 21 : float8 ? 19 : 13;
  if (model.opset >= needed) return undefined;
  const lifted = upgradeOpset(model, needed);
  if (!lifted.blocked) {
    const { graph, functions, opsets, irVersion } = lifted.model;
    Object.assign(model, { graph, functions, opsets, irVersion });
    return undefined;
  }
  return `opset ${needed} is needed, and the model stays at ${lifted.from}: ${lifted.blocked.reason}`;
}

/** Calibration sees the values of the main graph only. */
function tellInnerGraphs(model: Model, context: QuantizeContext): void {
  for (const graph of allGraphs(model)) {
    if (graph === model.graph) continue;
    for (const node of graph.nodes) {
      if (quantizeRole(node)?.kind !== 'product') continue;
      context.decide(
        node,
        'float',
        'it stands in a subgraph or function, which calibration does not see',
      );
    }
  }
}

/** Scale and zero point of every rounded value that has a range. */
async function scalesOf(
  plan: StaticPlan,
  options: StaticOptions,
  ranges: (names: readonly string[]) => Promise<ReadonlyMap<string, Range>>,
): Promise<Map<Value, Scale>> {
  const sources = new Set([...plan.rounded].map((value) => plan.scaleOf(value)));
  const asked = [...sources].filter((value) => !plan.fixed.has(value)).map(({ name }) => name);
  const found = await ranges(asked);
  const scales = new Map<Value, Scale>();
  const made = new Map<Value, Scale>();
  for (const value of plan.rounded) {
    const source = plan.scaleOf(value);
    const fixed = plan.fixed.get(source);
    const range = fixed ? { min: fixed[0], max: fixed[1] } : found.get(source.name);
    if (!range) continue;
    const scale = made.get(source) ?? makeScale(source, range, options);
    made.set(source, scale);
    scales.set(value, scale);
  }
  return scales;
}

function makeScale(source: Value, range: Range, options: StaticOptions): Scale {
  const { activations: type, symmetricActivations: symmetric, float8 } = options;
  if (float8) return { source, ...Float8.affine(float8, range), type: float8 };
  const affine: Affine = affineOf(range, { type, symmetric });
  return { source, ...affine, type };
}

/** Products with an operand that no sample reached (a branch that was not taken) stay float. */
function giveUpUnseen(
  plan: StaticPlan,
  scales: Map<Value, Scale>,
  context: QuantizeContext,
): ReadonlySet<Node> {
  const unseen = new Set<Node>();
  for (const node of plan.products) {
    const operands = [node.inputs[0], node.inputs[1]];
    const missing = operands.find(
      (value) => value && plan.rounded.has(value) && !scales.has(value),
    );
    if (!missing) continue;
    unseen.add(node);
    context.decide(node, 'float', `no sample of the calibration data reaches "${missing.name}"`);
  }
  return unseen;
}
