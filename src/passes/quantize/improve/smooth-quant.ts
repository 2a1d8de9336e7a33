// SmoothQuant (Xiao et al. 2022): X W = (X / s) (s W). Channels of X that are much larger than the
// others cost all of them their precision; s_j = max|X_j|^alpha / max|W_j|^(1 - alpha) moves a part of
// that range into the weights. The division goes into what makes X, so it costs nothing at run time.
// Alpha is searched for each X, and s stays 1 where no alpha makes the quantised products better.

import { Builder, type Graph, type Model, type Node, type Value } from '../../../graph/index.ts';
import { inferNode } from '../../../ops/index.ts';
import { decodeElements } from '../../../tensor/elements.ts';
import { floatTensor, scaleBlocks } from '../../../tensor/scale.ts';
import { setConstant } from '../../linear.ts';
import type { Calibration } from '../context.ts';
import { ChannelSample } from './channel-sample.ts';
import { type ChannelWeight, channelWeight } from './channel-weight.ts';
import type { FloatImprovement, ImproveContext, ImproveOptions } from './improvement.ts';
import { type Fold, foldInto } from './smooth-fold.ts';
import { type Columns, smoothingErrors } from './smooth-search.ts';

const ALPHAS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/** Rows of X and columns of W that errors are measured on. */
const ROWS = 256;
const COLUMNS = 384;
/** Bytes of rows that are held at a time; other values are observed in another pass. */
const BUDGET_BYTES = 256 << 20;
/** Factors stay within this, on both sides of 1. */
const MAX_FACTOR = 1e4;
/** Less is not worth a change. */
const GAIN = 0.98;

/** A value and the products that read it. */
interface Group {
  readonly value: Value;
  readonly weights: readonly ChannelWeight[];
  readonly width: number;
  readonly fold: Fold;
}

const improvement: FloatImprovement = {
  name: 'smooth-quant',
  summary: 'Moves outliers of activations into the weights of the MatMul and Gemm that read them',
  stage: 'float',
  needsData: true,
  async run(model, options, context) {
    if (!context.calibration) return false;
    let changed = false;
    for (const part of inParts(groupsOf(model, options, context))) {
      const samples = await observe(model, part, context.calibration, context.seed);
      for (const group of part) {
        const sample = samples.get(group.value.name);
        if (sample && (await smooth(model, group, sample, options, context))) changed = true;
      }
    }
    return changed;
  },
};
export default improvement;

function groupsOf(model: Model, options: ImproveOptions, context: ImproveContext): Group[] {
  const readers = new Map<Value, Node[]>();
  for (const node of model.graph.nodes) {
    const x = node.input(0);
    if (!x || node.domain !== '' || !['MatMul', 'Gemm'].includes(node.op)) continue;
    if (context.wanted(node) === 'float') continue;
    readers.set(x, [...(readers.get(x) ?? []), node]);
  }
  return [...readers].flatMap(([value, nodes]) => {
    const group = groupOf(model, value, nodes, options);
    if (typeof group !== 'string') return [group];
    for (const node of nodes) context.note(node, `not smoothed: ${group}`);
    return [];
  });
}

function groupOf(
  model: Model,
  value: Value,
  nodes: readonly Node[],
  options: ImproveOptions,
): Group | string {
  const weights: ChannelWeight[] = [];
  for (const node of nodes) {
    const weight = channelWeight(node);
    if (typeof weight === 'string') return weight;
    weights.push(weight);
  }
  const width = weights[0]?.inputs ?? 0;
  const isFit = weights.every(({ inputs }) => inputs === width);
  if (!isFit || value.shape?.at(-1) !== width) return `the width of "${value.name}" is not known`;
  const found = foldInto(value, nodes, { width, perChannel: options.perChannel });
  if (typeof found !== 'string') return { value, weights, width, fold: found };
  if (!options.insertMul) return found;
  return { value, weights, width, fold: multiply(model, value, nodes) };
}

/** A Mul of its own before the products. */
function multiply(model: Model, value: Value, nodes: readonly Node[]): Fold {
  const { graph } = model;
  return (factors) => {
    const first = [...graph.nodes].find((node) => nodes.includes(node));
    const g = new Builder(graph, first, (node) => inferNode(model, node));
    const data = floatTensor(value.dtype ?? 'float32', [factors.length], factors);
    const scaled = g.op('Mul', [value, g.constant(`${value.name}_smoothing`, data)]);
    for (const node of nodes) node.setInput(0, scaled);
  };
}

function inParts(groups: readonly Group[]): Group[][] {
  const parts: Group[][] = [];
  let room = 0;
  for (const group of groups) {
    const bytes = group.width * ROWS * 4;
    const part = parts.at(-1);
    if (part && bytes <= room) part.push(group);
    else {
      parts.push([group]);
      room = BUDGET_BYTES;
    }
    room -= bytes;
  }
  return parts;
}

async function observe(
  model: Model,
  groups: readonly Group[],
  calibration: Calibration,
  seed: number,
): Promise<Map<string, ChannelSample>> {
  const samples = new Map(
    groups.map(({ value: { name }, width }) => [name, new ChannelSample(width, ROWS, seed, name)]),
  );
  await calibration.observe(model, [...samples.keys()], (name, tensor) => {
    samples.get(name)?.add(tensor);
  });
  return samples;
}

async function smooth(
  model: Model,
  group: Group,
  sample: ChannelSample,
  options: ImproveOptions,
  context: ImproveContext,
): Promise<boolean> {
  const { value, weights } = group;
  const [first] = weights;
  if (!first || sample.count === 0) return false;
  sample.requireFinite(value, first.linear.node, model);
  const columns = await columnsOf(group);
  const choices = ALPHAS.map((alpha) => factorsOf(sample, columns, alpha));
  const none = new Float64Array(group.width).fill(1);
  const errors = await smoothingErrors(sample, columns, [none, ...choices], options, context.run);
  const [plain = 0, ...smoothed] = errors;
  const best = Math.min(...smoothed);
  const at = smoothed.indexOf(best);
  const factors = choices[at];
  if (!factors || !(best < plain * GAIN)) {
    tell(group, context, `not smoothed: no alpha lowers the error of ${percent(plain)}`);
    return false;
  }
  group.fold(factors.map((s) => 1 / s));
  for (const weight of weights) scaleInputs(model.graph, weight, factors);
  tell(group, context, `alpha ${ALPHAS[at]}: error ${percent(plain)}, now ${percent(best)}`);
  return true;
}

function tell({ weights }: Group, context: ImproveContext, text: string): void {
  for (const { linear } of weights) context.note(linear.node, text);
}

/** Of a squared length. */
const percent = (e: number) => `${(100 * Math.sqrt(e)).toPrecision(3)} %`;

function factorsOf(sample: ChannelSample, { rowMax }: Columns, alpha: number): Float64Array {
  const logs = sample.min.map((min, k) => {
    const x = Math.max(Math.abs(min), Math.abs(sample.max[k] as number));
    const w = Math.max(...rowMax.map((rows) => rows[k] as number));
    return x > 0 && w > 0 ? alpha * Math.log(x) - (1 - alpha) * Math.log(w) : Number.NaN;
  });
  const known = logs.filter((log) => !Number.isNaN(log));
  // A factor that all channels share changes nothing: without it the factors lie around 1.
  const mean = known.reduce((sum, log) => sum + log, 0) / (known.length || 1);
  return logs.map((log) => {
    const s = Number.isNaN(log) ? 1 : Math.exp(log - mean);
    return Math.fround(Math.min(MAX_FACTOR, Math.max(1 / MAX_FACTOR, s)));
  });
}

/** Some columns of all weights of a group; the weights are loaded one after the other. */
async function columnsOf({ weights, width }: Group): Promise<Columns> {
  const total = weights.reduce((sum, { outputs }) => sum + outputs, 0);
  const picked = weights.map(({ outputs }) =>
    Math.max(1, Math.min(outputs, Math.round((COLUMNS * outputs) / total))),
  );
  const count = picked.reduce((a, b) => a + b, 0);
  const values = new Float32Array(width * count);
  const rowMax: Float64Array[] = [];
  const weightOf = new Uint32Array(count);
  let begin = 0;
  for (const [index, weight] of weights.entries()) {
    const own = picked[index] as number;
    rowMax.push(await readColumns(weight, values, { begin, own, count }));
    weightOf.fill(index, begin, begin + own);
    begin += own;
  }
  return { values, count, rowMax, weightOf };
}

/** Spreads `own` columns evenly over a weight; returns the largest magnitude of each row. */
async function readColumns(
  { data, inputs, outputs, inputOf, outputOf }: ChannelWeight,
  into: Float32Array,
  { begin, own, count }: { begin: number; own: number; count: number },
): Promise<Float64Array> {
  const elements = decodeElements(data.dtype, await data.load(), data.size) as Float32Array;
  const columnOf = new Int32Array(outputs).fill(-1);
  for (let i = 0; i < own; i++) columnOf[Math.floor((i * outputs) / own)] = begin + i;
  const rowMax = new Float64Array(inputs);
  for (let i = 0; i < elements.length; i++) {
    const [k, n] = [inputOf(i), outputOf(i)];
    const w = elements[i] as number;
    if (Math.abs(w) > (rowMax[k] as number)) rowMax[k] = Math.abs(w);
    const column = columnOf[n] as number;
    if (column >= 0) into[k * count + column] = w;
  }
  return rowMax;
}

function scaleInputs(graph: Graph, weight: ChannelWeight, factors: Float64Array): void {
  const { data, block, linear, inputOf } = weight;
  const scaled = scaleBlocks(data, block, (b) => factors[inputOf(b)] as number);
  setConstant({ graph }, linear.node, 1, scaled);
}
