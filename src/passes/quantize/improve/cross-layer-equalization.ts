// Cross-layer equalisation (Nagel et al. 2019, Data-Free Quantization): between two linear operators
// with a positively homogeneous function, channel i may be divided by s_i and multiplied by it again.
// s_i = sqrt(r1_i / r2_i) makes the ranges r1_i of its row in W1 and r2_i of its column in W2 equal, so
// that one scale for a whole tensor serves all channels. Repeated over all pairs until nothing moves.

import type { Graph, Model, Node } from '../../../graph/index.ts';
import { floatTensor, scaleBlocks } from '../../../tensor/scale.ts';
import { LINEAR, setConstant } from '../../linear.ts';
import { constant, numbers } from '../../match.ts';
import { type ChannelPath, pathFrom } from './channel-path.ts';
import { blockMagnitudes, type ChannelWeight, channelWeight } from './channel-weight.ts';
import type { FloatImprovement, ImproveContext } from './improvement.ts';

/** One of the weights of a chain, with what it was multiplied with so far. */
interface Layer {
  readonly weight: ChannelWeight;
  readonly magnitudes: Float32Array;
  readonly outputs: Uint32Array;
  readonly inputs: Uint32Array;
  readonly outputScale: Float64Array;
  readonly inputScale: Float64Array;
}

interface Pair {
  readonly from: ChannelWeight;
  readonly path: ChannelPath;
}

const MAX_SWEEPS = 100;
/** Of the logarithm of a factor. */
const SETTLED = 1e-3;

const improvement: FloatImprovement = {
  name: 'cross-layer-equalization',
  summary: 'Evens out the ranges of channels between layers; helps where a tensor has one scale',
  stage: 'float',
  needsData: false,
  async run(model, _options, context) {
    let changed = false;
    for (const chain of chainsOf(pairsOf(model, context))) {
      changed = (await equalize(model.graph, chain, context)) || changed;
    }
    return changed;
  },
};
export default improvement;

function pairsOf(model: Model, context: ImproveContext): Pair[] {
  const pairs: Pair[] = [];
  for (const node of model.graph.nodes) {
    if (node.domain !== '' || !LINEAR.some((op) => op === node.op)) continue;
    const from = channelWeight(node);
    const path = typeof from === 'string' ? from : pathFrom(from.linear);
    const problem = typeof path === 'string' ? path : biasProblem(from as ChannelWeight);
    if (problem || typeof path === 'string') context.note(node, `not equalised: ${problem}`);
    else pairs.push({ from: from as ChannelWeight, path });
  }
  return pairs;
}

function biasProblem({ linear, outputs }: ChannelWeight): string | undefined {
  const { bias, node } = linear;
  if (!bias) return undefined;
  const data = constant(bias);
  if (!data) return `the bias of ${node.describe()} is not constant`;
  const isVector = data.size === 1 || (data.size === outputs && data.shape.at(-1) === outputs);
  return isVector ? undefined : `the bias of ${node.describe()} differs from row to row`;
}

/** Pairs that share a layer, together: only their weights are looked at at the same time. */
function chainsOf(pairs: readonly Pair[]): Pair[][] {
  const chains: Pair[][] = [];
  for (const pair of pairs) {
    const before = chains.find((chain) =>
      chain.some((p) => nodeOf(p.path.to) === nodeOf(pair.from)),
    );
    if (before) before.push(pair);
    else chains.push([pair]);
  }
  return chains;
}

async function equalize(
  graph: Graph,
  chain: readonly Pair[],
  context: ImproveContext,
): Promise<boolean> {
  const layers = new Map<Node, Layer>();
  for (const { from, path } of chain) {
    for (const weight of [from, path.to]) {
      if (!layers.has(nodeOf(weight))) layers.set(nodeOf(weight), await layerOf(weight));
    }
  }
  const links = chain.flatMap(({ from, path }) => {
    const [first, second] = [layers.get(nodeOf(from)), layers.get(nodeOf(path.to))];
    return first && second ? [linkOf(first, second, path)] : [];
  });
  const before = links.map(spread);
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    const moved = Math.max(...links.map(step));
    if (moved < SETTLED) break;
  }
  if (![...layers.values()].some(isScaled)) return false;
  links.forEach((link, i) => {
    const told = `ranges of channels differed by ${figure(before[i])}, now by ${figure(spread(link))}`;
    context.note(link.first.weight.linear.node, told);
    scaleBias(graph, link);
  });
  for (const layer of layers.values()) scaleWeight(graph, layer);
  return true;
}

const nodeOf = ({ linear }: ChannelWeight) => linear.node;

async function layerOf(weight: ChannelWeight): Promise<Layer> {
  const magnitudes = await blockMagnitudes(weight);
  return {
    weight,
    magnitudes,
    outputs: Uint32Array.from(magnitudes, (_, b) => weight.outputOf(b)),
    inputs: Uint32Array.from(magnitudes, (_, b) => weight.inputOf(b)),
    outputScale: new Float64Array(weight.outputs).fill(1),
    inputScale: new Float64Array(weight.inputs).fill(1),
  };
}

interface Link {
  readonly first: Layer;
  readonly second: Layer;
  readonly path: ChannelPath;
  /** What is added to each channel on the way. */
  readonly bias: Float64Array;
  /** No channel is enlarged so that what is added to it exceeds this: it would widen the range. */
  readonly limit: number;
  channelOf(input: number): number;
}

function linkOf(first: Layer, second: Layer, path: ChannelPath): Link {
  const { outputs, linear } = first.weight;
  const own = numbers(linear.bias) ?? [];
  const bias = Float64Array.from({ length: outputs }, (_, c) => {
    const value = own[own.length === 1 ? 0 : c] ?? 0;
    return (
      Math.abs(value) + path.addends.reduce((sum, { values }) => sum + Math.abs(values[c] ?? 0), 0)
    );
  });
  return {
    first,
    second,
    path,
    bias,
    limit: bias.reduce((a, b) => Math.max(a, b), 0),
    channelOf: (input) => Math.floor(input / path.inner) % outputs,
  };
}

/** Largest magnitudes of the rows of a layer, and of its columns by channels of the layer before. */
function ranges({ first, second, channelOf }: Link): { r1: Float64Array; r2: Float64Array } {
  const r1 = new Float64Array(first.weight.outputs);
  const r2 = new Float64Array(first.weight.outputs);
  const raise = (r: Float64Array, at: number, { magnitudes, ...of }: Layer, b: number) => {
    const scale =
      (of.outputScale[of.outputs[b] as number] as number) *
      (of.inputScale[of.inputs[b] as number] as number);
    r[at] = Math.max(r[at] as number, (magnitudes[b] as number) * scale);
  };
  for (let b = 0; b < first.magnitudes.length; b++) raise(r1, first.outputs[b] as number, first, b);
  for (let b = 0; b < second.magnitudes.length; b++) {
    raise(r2, channelOf(second.inputs[b] as number), second, b);
  }
  return { r1, r2 };
}

/** Equalises one pair; the largest step that a channel took. */
function step(link: Link): number {
  const { first, second, bias, limit, channelOf } = link;
  const { r1, r2 } = ranges(link);
  const logs = r1.map((a, i) => {
    const ratio = a / (r2[i] as number);
    return ratio > 0 && Number.isFinite(ratio) ? Math.log(ratio) / 2 : 0;
  });
  // A factor that all channels share changes nothing; without it, what grows is told from what shrinks.
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  let moved = 0;
  const factors = logs.map((log, i) => {
    const isDead = !((r1[i] as number) * (r2[i] as number) > 0);
    const room = limit / ((bias[i] as number) * (first.outputScale[i] as number)) || Infinity;
    const grow = isDead ? 1 : Math.min(Math.exp(mean - log), Math.max(1, room));
    moved = Math.max(moved, Math.abs(Math.log(grow)));
    return grow;
  });
  factors.forEach((grow, i) => {
    first.outputScale[i] = (first.outputScale[i] as number) * grow;
  });
  for (let k = 0; k < second.inputScale.length; k++) {
    second.inputScale[k] = (second.inputScale[k] as number) / (factors[channelOf(k)] as number);
  }
  return moved;
}

/** How far the largest row of the first weight exceeds the median one. */
function spread(link: Link): number {
  const sorted = ranges(link)
    .r1.filter((r) => r > 0)
    .sort();
  return (sorted.at(-1) ?? 1) / (sorted[sorted.length >> 1] ?? 1);
}

const figure = (ratio: number | undefined) => `${(ratio ?? 1).toPrecision(3)}x`;

function isScaled({ outputScale, inputScale }: Layer): boolean {
  return outputScale.some((s) => s !== 1) || inputScale.some((s) => s !== 1);
}

function scaleWeight(graph: Graph, layer: Layer): void {
  const { weight, outputScale, inputScale } = layer;
  const { data, block, linear } = weight;
  const scaled = scaleBlocks(
    data,
    block,
    (b) => (outputScale[weight.outputOf(b)] as number) * (inputScale[weight.inputOf(b)] as number),
  );
  setConstant({ graph }, linear.node, 1, scaled);
}

function scaleBias(graph: Graph, { first, path }: Link): void {
  const { linear, outputs, data } = first.weight;
  const { outputScale } = first;
  const own = numbers(linear.bias);
  if (own) {
    const next = outputScale.map((s, c) => s * (own[own.length === 1 ? 0 : c] as number));
    setConstant({ graph }, linear.node, 2, floatTensor(data.dtype, [outputs], next));
  }
  for (const { node, index, values, shape } of path.addends) {
    const next = values.map((v, c) => v * (outputScale[c] as number));
    const dtype = node.input(index)?.dtype ?? data.dtype;
    setConstant({ graph }, node, index, floatTensor(dtype, shape, next));
  }
}
