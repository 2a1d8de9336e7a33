// Bias correction (Nagel et al. 2019, empirical): rounding moves the mean of each output channel, and
// b += E[y_float - y_quantised] moves it back. All layers are measured in one pass over the data, each
// behind layers that are corrected already: in that pass the mean difference of each batch is added
// where it arises, so that a layer is not charged with what those before it did.

import { Builder, type Model, type Node, type Value } from '../../../graph/index.ts';
import { elementsOf } from '../../../tensor/elements.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import { linearBefore } from '../../linear.ts';
import type { Calibration } from '../context.ts';
import { addToBias, biasProblem } from './bias-write.ts';
import type { ImproveContext, QuantizedImprovement } from './improvement.ts';
import { outputError } from './output-error.ts';
import { addAfter, type QuantizedLayer, quantizedLayers } from './quantized-layer.ts';
import { type SideBySide, sideBySide } from './side-by-side.ts';

/** Batches that are looked at. */
const BATCHES = 256;

const improvement: QuantizedImprovement = {
  name: 'bias-correction',
  summary: 'Takes the mean error that rounding makes in each channel out of the biases',
  stage: 'quantized',
  needsData: true,
  async run(quantized, float, _options, context) {
    const { calibration } = context;
    if (!calibration) return false;
    const skip = (node: Node, reason: string) =>
      context.note(node, `its bias is not corrected: ${reason}`);
    const layers = quantizedLayers(quantized, float, skip).filter((layer) => {
      const problem = biasProblem(layer);
      if (problem) skip(layer.node, problem);
      return problem === undefined;
    });
    if (layers.length === 0) return false;
    const shifts = await measure(quantized, float, layers, calibration);
    if (typeof shifts === 'string') {
      for (const { node } of layers) skip(node, shifts);
      return false;
    }
    return keepIfBetter(quantized, float, layers, shifts, calibration, context);
  },
};
export default improvement;

/** Where the difference is taken: behind the bias. */
function endOf({ node }: QuantizedLayer): Node {
  return node.op === 'MatMul' ? (addAfter(node)?.node ?? node) : node;
}

/** By the name of the layer's node: what its bias lacks. */
type Shifts = ReadonlyMap<Node, Float64Array>;

async function measure(
  quantized: Model,
  float: Model,
  layers: readonly QuantizedLayer[],
  calibration: Calibration,
): Promise<Shifts | string> {
  const both = sideBySide(quantized, float);
  if (typeof both === 'string') return both;
  const sums = new Map<string, Sum>();
  for (const layer of layers) {
    const names = observeDifference(both, layer);
    if (!names) continue;
    const sum = new Sum(layer.node);
    sums.set(names.difference, sum);
    sums.set(names.size, sum);
  }
  if (sums.size === 0) return 'its results are not found in both models';
  const visit = (name: string, tensor: Tensor) => sums.get(name)?.add(tensor);
  await calibration.observe(both.finish(), [...sums.keys()], visit, BATCHES);
  return new Map([...new Set(sums.values())].map((sum) => [sum.node, sum.mean()]));
}

/** A mean over batches, each as heavy as it is large; its two parts come in any order. */
class Sum {
  readonly node: Node;
  #means: Float64Array[] = [];
  #sizes: number[] = [];

  constructor(node: Node) {
    this.node = node;
  }

  add(tensor: Tensor): void {
    if (tensor.dtype === 'int64') this.#sizes.push(Number(tensor.values()[0]));
    else this.#means.push(Float64Array.from(elementsOf(tensor) as Float32Array));
  }

  mean(): Float64Array {
    const total = this.#sizes.reduce((a, b) => a + b, 0);
    const mean = new Float64Array(this.#means[0]?.length ?? 0);
    this.#means.forEach((part, batch) => {
      const share = (this.#sizes[batch] ?? 0) / total;
      part.forEach((x, c) => {
        mean[c] = (mean[c] as number) + share * x;
      });
    });
    return mean;
  }
}

/** Adds the mean difference per channel where a layer ends; the names of it and of the size. */
function observeDifference(
  both: SideBySide,
  layer: QuantizedLayer,
): { difference: string; size: string } | undefined {
  const end = endOf(layer);
  const actual = both.quantized(end.output.name);
  const expected = both.float(floatEnd(layer).output.name);
  const place = linearBefore(both.quantized(layer.node.output.name));
  if (!actual || !expected || !place) return undefined;
  const g = new Builder(both.model.graph);
  const readers = [...actual.uses];
  const axes = Array.from({ length: place.rank }, (_, axis) => axis).filter(
    (a) => a !== place.axis,
  );
  const mean = reduceMean(both.model, g, g.op('Sub', [expected, actual]), axes);
  const corrected = g.op('Add', [actual, mean]);
  for (const { node, index } of readers) node.setInput(index, corrected);
  return { difference: mean.name, size: g.op('Size', [actual]).name };
}

function floatEnd(layer: QuantizedLayer): Node {
  const isAdd = endOf(layer) !== layer.node;
  return isAdd ? (addAfter(layer.float)?.node ?? layer.float) : layer.float;
}

function reduceMean(model: Model, g: Builder, value: Value, axes: readonly number[]): Value {
  return model.opset >= 18
    ? g.op('ReduceMean', [value, g.constant('axes', Tensor.int64(axes))], { keepdims: 1 })
    : g.op('ReduceMean', [value], { axes, keepdims: 1 });
}

async function keepIfBetter(
  quantized: Model,
  float: Model,
  layers: readonly QuantizedLayer[],
  shifts: Shifts,
  calibration: Calibration,
  context: ImproveContext,
): Promise<boolean> {
  const trial = quantized.clone();
  const twins = new Map([...trial.graph.nodes].map((node, i) => [i, node]));
  const places = new Map([...quantized.graph.nodes].map((node, i) => [node, i]));
  const copyOf = (node: Node) => twins.get(places.get(node) ?? -1) ?? node;
  for (const { node } of layers) {
    const shift = shifts.get(node);
    if (shift) addToBias(trial.graph, copyOf(node), shift);
  }
  const before = await outputError(quantized, float, calibration, BATCHES);
  const after = await outputError(trial, float, calibration, BATCHES);
  const isBetter = before === undefined || after === undefined || after < before;
  const figures = `error of the outputs ${percent(before)}, with corrected biases ${percent(after)}`;
  for (const { node } of layers) {
    const shift = shifts.get(node);
    if (!shift) continue;
    if (isBetter) addToBias(quantized.graph, node, shift);
    context.note(node, isBetter ? figures : `its bias is not corrected: ${figures}`);
  }
  return isBetter;
}

const percent = (e: number | undefined) =>
  e === undefined ? 'unknown' : `${(100 * e).toPrecision(3)} %`;
