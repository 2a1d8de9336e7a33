// What tests of improvements share: calibration over feeds in memory, a context that remembers notes,
// a plain static quantisation in QDQ form, and how far a model is from another.

import { Builder, type Model, type Node, type Value } from '../../../../src/graph/index.ts';
import { constantData, inferTypes } from '../../../../src/ops/index.ts';
import { passes } from '../../../../src/passes/index.ts';
import type { Calibration } from '../../../../src/passes/quantize/context.ts';
import type {
  ImproveContext,
  ImproveOptions,
} from '../../../../src/passes/quantize/improve/index.ts';
import { runPasses } from '../../../../src/passes/run.ts';
import { upgradeOpset } from '../../../../src/passes/upgrade/index.ts';
import { observe } from '../../../../src/runtime/observe.ts';
import { createRunner } from '../../../../src/runtime/runner.ts';
import { affineOf, integerRange, type Range } from '../../../../src/tensor/affine.ts';
import { packCodes } from '../../../../src/tensor/block-packing.ts';
import { Comparer } from '../../../../src/tensor/compare.ts';
import { elementCount } from '../../../../src/tensor/dtype.ts';
import { elementsOf } from '../../../../src/tensor/elements.ts';
import type { Feeds } from '../../../../src/tensor/feeds.ts';
import { floatsOf } from '../../../../src/tensor/scale.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { contextOf } from '../weights-helper.ts';

export const run = createRunner();

export const INT8: ImproveOptions = {
  activations: 'uint8',
  weights: 'int8',
  perChannel: true,
  symmetric: false,
  reduceRange: false,
};

/** Minima and maxima over all feeds. */
export function calibrationOn(feeds: readonly Feeds[]): Calibration {
  const calibration: Calibration = {
    observe: (model, names, visit, limit) => {
      const made = new Set([...model.graph.nodes].flatMap((n) => n.outputs.map((v) => v.name)));
      const fed = names.filter((name) => !made.has(name));
      const used = feeds.slice(0, limit ?? feeds.length);
      const inputs = async () => {
        for (const [batch, set] of used.entries()) {
          for (const name of fed) await visit(name, set.get(name) as Tensor, batch);
        }
      };
      return inputs().then(() =>
        observe(
          model,
          used,
          names.filter((name) => made.has(name)),
          visit,
        ),
      );
    },
    async ranges(model, names) {
      const found = new Map<string, Range>();
      await calibration.observe(model, names, (name, tensor) => {
        let { min, max } = found.get(name) ?? { min: 0, max: 0 };
        for (const x of elementsOf(tensor) as Float32Array) {
          if (x < min) min = x;
          if (x > max) max = x;
        }
        found.set(name, { min, max });
      });
      return found;
    },
  };
  return calibration;
}

export function improving(feeds?: readonly Feeds[]): { context: ImproveContext; notes: string[] } {
  const notes: string[] = [];
  const { context } = contextOf(run, feeds ? { calibration: calibrationOn(feeds) } : {});
  return {
    notes,
    context: { ...context, note: (node, text) => void notes.push(`${node.name}: ${text}`) },
  };
}

/** BatchNormalization folded, as quantisation starts. */
export async function prepared(model: Model): Promise<Model> {
  const basic = passes.filter((pass) => pass.level === 'basic' && !pass.onDemand);
  return (await runPasses(model, basic, { run, level: 'basic' })).model;
}

export interface Distance {
  readonly maxAbs: number;
  readonly relNorm: number;
  readonly cosine: number;
}

/** How far all outputs of a model are from those of another, over all feeds. */
export async function distance(
  expected: Model,
  actual: Model,
  feeds: readonly Feeds[],
): Promise<Distance> {
  const comparer = new Comparer({ rtol: 0, atol: 0 });
  for (const set of feeds) {
    const [right, found] = [await run(expected, set), await run(actual, set)];
    for (const [name, tensor] of right) comparer.add(tensor, found.get(name) as Tensor);
  }
  return comparer.result();
}

export interface PlainOptions {
  readonly perChannel?: boolean;
  readonly bits?: 8 | 4;
  /** Weights only: activations and biases stay float. */
  readonly weightsOnly?: boolean;
}

/**
 * A copy in QDQ form: weights of Conv, Gemm and MatMul as symmetric integers, what feeds these as
 * uint8, and their biases as int32. No clever placement of any kind.
 */
export async function quantizedPlainly(
  float: Model,
  feeds: readonly Feeds[],
  options: PlainOptions = {},
): Promise<Model> {
  // 4-bit integers came with opset 21.
  const model = (options.bits === 4 ? upgradeOpset(float, 21).model : float).clone();
  inferTypes(model);
  const nodes = [...model.graph.nodes].filter(
    (node) => ['Conv', 'Gemm', 'MatMul'].includes(node.op) && node.input(1)?.data,
  );
  const names = [...new Set(nodes.map((node) => node.input(0)?.name as string))];
  const ranges = await calibrationOn(feeds).ranges(model, names);
  const scales = new Map<Value, number>();
  for (const node of nodes) quantizeNode(model, node, ranges, scales, options);
  inferTypes(model);
  return model;
}

function quantizeNode(
  model: Model,
  node: Node,
  ranges: ReadonlyMap<string, Range>,
  scales: Map<Value, number>,
  { weightsOnly = false, ...options }: PlainOptions,
): void {
  const g = new Builder(model.graph, node);
  const x = node.input(0) as Value;
  const weightScales = quantizeWeight(g, node, options);
  if (weightsOnly) return;
  const activation = affineOf(ranges.get(x.name) as Range, { type: 'uint8', symmetric: false });
  const parameters = [
    g.constant(`${x.name}_scale`, Tensor.scalar('float32', activation.scale)),
    g.constant(`${x.name}_zero`, Tensor.scalar('uint8', activation.zeroPoint)),
  ];
  const codes = g.op('QuantizeLinear', [x, ...parameters]);
  node.setInput(0, g.op('DequantizeLinear', [codes, ...parameters]));
  scales.set(x, activation.scale);
  const bias = node.input(2)?.data;
  if (!bias) return;
  const factors = Float32Array.from(weightScales, (s) => s * activation.scale);
  const values = Int32Array.from(floatsOf(bias), (b, i) =>
    Math.round(b / (factors[factors.length === 1 ? 0 : i] as number)),
  );
  const isVector = factors.length > 1;
  const terms = [
    g.constant(`${node.name}_bias`, Tensor.of('int32', bias.shape, values)),
    g.constant(
      `${node.name}_bias_scale`,
      Tensor.of('float32', isVector ? [factors.length] : [], factors),
    ),
  ];
  node.setInput(2, g.op('DequantizeLinear', terms, { axis: 0 }));
}

function quantizeWeight(g: Builder, node: Node, options: PlainOptions): Float32Array {
  const { perChannel = true, bits = 8 } = options;
  const weight = node.input(1) as Value;
  const data = constantData(weight) as Tensor;
  const isFirst = node.op === 'Conv' || node.int('transB', 0) === 1;
  const axis = isFirst ? 0 : data.shape.length - 1;
  const channels = perChannel ? (data.shape[axis] as number) : 1;
  const inner = elementCount(data.shape.slice(axis + 1));
  const channelOf = (i: number) => (perChannel ? Math.floor(i / inner) % channels : 0);
  const values = floatsOf(data);
  const largest = new Float64Array(channels);
  values.forEach((w, i) => {
    largest[channelOf(i)] = Math.max(largest[channelOf(i)] as number, Math.abs(w));
  });
  const type = bits === 8 ? ('int8' as const) : ('int4' as const);
  const { min, max } = integerRange({ type, symmetric: true });
  const scales = Float32Array.from(largest, (m) => m / max || 1);
  const codes = Int8Array.from(values, (w, i) =>
    Math.min(max, Math.max(min, Math.round(w / (scales[channelOf(i)] as number)))),
  );
  const bytes = new Uint8Array(codes.buffer);
  const packed =
    bits === 8
      ? bytes
      : packCodes(
          bytes.map((code) => code & 15),
          4,
        );
  const inputs = [
    g.constant(`${weight.name}_quantized`, Tensor.fromBytes(type, data.shape, packed)),
    g.constant(`${weight.name}_scale`, Tensor.of('float32', perChannel ? [channels] : [], scales)),
  ];
  node.setInput(1, g.op('DequantizeLinear', inputs, perChannel ? { axis } : {}));
  if (weight.uses.length === 0) g.graph.removeInitializer(weight);
  return scales;
}
