// AdaRound (Nagel et al. 2020): to round a weight to the nearest integer is not the best for what the
// layer computes. Which of the two integers next to it is taken, is chosen by what the layer is fed on
// the calibration data, layer after layer, behind layers that are rounded already, towards what the
// float layer made of float inputs. Each output channel keeps the better of both roundings.

import { Builder, type Model, type Node } from '../../../graph/index.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import { setConstant } from '../../linear.ts';
import type { Calibration } from '../context.ts';
import type { ImproveContext, QuantizedImprovement } from './improvement.ts';
import { type QuantizedLayer, quantizedLayers } from './quantized-layer.ts';
import { ADAPTIVE, type AdaptiveOptions, roundAdaptively } from './round-adaptively.ts';
import { roundedWeight, roundingProblem, type Sums } from './rounding-problem.ts';
import { type SideBySide, sideBySide } from './side-by-side.ts';
import { type Unfolding, unfolding } from './unfold.ts';

/** Batches that are looked at. */
const BATCHES = 256;
/** G and D take 8 bytes an element. */
const MAX_INPUTS = 8192;
const BUDGET_BYTES = 512 << 20;
/** The data is looked at again after so many layers have been rounded, in a network of so many. */
const STAGES = 64;

interface Job {
  readonly layer: QuantizedLayer;
  readonly unfolding: Unfolding;
}

const improvement: QuantizedImprovement = {
  name: 'adaround',
  summary:
    'Chooses for each weight whether to round up or down, by what its layer makes of the data',
  stage: 'quantized',
  needsData: true,
  run: (quantized, float, _options, context) => adaround(quantized, float, context, ADAPTIVE),
};
export default improvement;

export async function adaround(
  quantized: Model,
  float: Model,
  context: ImproveContext,
  options: AdaptiveOptions,
): Promise<boolean> {
  const { calibration } = context;
  if (!calibration) return false;
  let changed = false;
  for (const stage of stagesOf(jobsOf(quantized, float, context))) {
    const both = sideBySide(quantized, float);
    if (typeof both === 'string') {
      for (const { layer } of stage) skip(context, layer.node, both);
      continue;
    }
    const sums = await observe(both, stage, calibration);
    for (const job of stage) {
      const own = sums.get(job);
      if (own && (await round(job, own, context, options))) changed = true;
    }
  }
  return changed;
}

const skip = (context: ImproveContext, node: Node, reason: string) =>
  context.note(node, `rounded to nearest: ${reason}`);

function jobsOf(quantized: Model, float: Model, context: ImproveContext): Job[] {
  const layers = quantizedLayers(quantized, float, (node, reason) => skip(context, node, reason));
  return layers.flatMap((layer) => {
    const found = unfolding(layer.node, layer.weight.shape);
    const problem = typeof found === 'string' ? found : whyNot(layer, found);
    if (problem === undefined && typeof found !== 'string') return [{ layer, unfolding: found }];
    skip(context, layer.node, problem ?? '');
    return [];
  });
}

function whyNot(
  { node, dequantize, codes }: QuantizedLayer,
  { inputs }: Unfolding,
): string | undefined {
  if (inputs > MAX_INPUTS) return `it has more than ${MAX_INPUTS} inputs`;
  if (node.input(0)?.dtype !== 'float32') return `its input is ${node.input(0)?.dtype}`;
  const isShared = dequantize.output.uses.length > 1 || codes.uses.length > 1;
  return isShared ? 'its weight is shared' : undefined;
}

function stagesOf(jobs: readonly Job[]): Job[][] {
  const most = Math.ceil(jobs.length / STAGES);
  const stages: Job[][] = [];
  let room = 0;
  for (const job of jobs) {
    const { groups, inputs } = job.unfolding;
    const bytes = 8 * groups * inputs * inputs;
    const stage = stages.at(-1);
    if (stage && stage.length < most && bytes <= room) stage.push(job);
    else {
      stages.push([job]);
      room = BUDGET_BYTES;
    }
    room -= bytes;
  }
  return stages;
}

/** G and D of every job, summed up over the data. */
async function observe(
  both: SideBySide,
  jobs: readonly Job[],
  calibration: Calibration,
): Promise<Map<Job, Sums>> {
  const found = new Map<Job, Sums>();
  const visits = new Map<string, (values: Float32Array | BigInt64Array) => void>();
  for (const job of jobs) {
    const names = addSums(both, job);
    if (!names) continue;
    const { groups, inputs } = job.unfolding;
    const size = groups * inputs * inputs;
    const sums: Sums = { gram: new Float32Array(size), drift: new Float32Array(size), rows: 0 };
    found.set(job, sums);
    visits.set(names.gram, (part) => addTo(sums.gram, part as Float32Array));
    visits.set(names.drift, (part) => addTo(sums.drift, part as Float32Array));
    visits.set(names.size, ([count]) => {
      sums.rows += Number(count) / (groups * inputs);
    });
  }
  const visit = (name: string, tensor: Tensor) =>
    visits.get(name)?.(tensor.values() as Float32Array);
  await calibration.observe(both.finish(), [...visits.keys()], visit, BATCHES);
  return found;
}

function addTo(sum: Float32Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
}

/** The names of x x^T, (x - x_f) x^T and the number of elements of x. */
function addSums(
  both: SideBySide,
  { layer, unfolding }: Job,
): { gram: string; drift: string; size: string } | undefined {
  const node = both.quantized(layer.node.output.name)?.producer;
  const [x, expected] = [node?.input(0), both.float(layer.float.output.name)?.producer?.input(0)];
  if (!x || !expected) return undefined;
  const g = new Builder(both.model.graph);
  const rows = unfolding.rows(both.model, x);
  const turned = g.op('Transpose', [rows], { perm: [0, 2, 1] });
  const difference = g.op('Sub', [rows, unfolding.rows(both.model, expected)]);
  return {
    gram: g.op('MatMul', [rows, turned]).name,
    drift: g.op('MatMul', [difference, turned]).name,
    size: g.op('Size', [rows]).name,
  };
}

async function round(
  { layer, unfolding }: Job,
  sums: Sums,
  context: ImproveContext,
  options: AdaptiveOptions,
): Promise<boolean> {
  const { node, graph, dequantize } = layer;
  const problem = await roundingProblem(layer, unfolding);
  if (typeof problem === 'string') {
    skip(context, node, problem);
    return false;
  }
  if (!sums.gram.every(Number.isFinite)) {
    skip(context, node, 'what feeds it holds NaN or infinity for some of the data');
    return false;
  }
  const { up, gain, nearest } = await roundAdaptively(problem, sums, options, context.run);
  if (!(gain > 0)) {
    skip(context, node, 'that is the best for the data');
    return false;
  }
  setConstant({ graph }, dequantize, 0, await roundedWeight(layer, problem, up));
  const part = (100 * gain) / nearest;
  context.note(node, `the squared error of rounding to nearest falls by ${part.toPrecision(3)} %`);
  return true;
}
