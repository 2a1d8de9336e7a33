// MatMul with a constant weight [K, N] → com.microsoft.MatMulBnb4: weights as NormalFloat4, one scale
// for every `block` of them; activations stay float. A Gemm keeps its C as an Add. The same choice of
// operators as onnxruntime's MatMulBnb4Quantizer, and Gemm beside it.

import {
  allGraphs,
  Builder,
  type Graph,
  type Model,
  type Node,
  type Value,
} from '../../graph/index.ts';
import { constantData, inferNode } from '../../ops/index.ts';
import { elementsOf } from '../../tensor/elements.ts';
import { type PackedNormalFloats, packNormalFloats } from '../../tensor/normal-float.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { constantsToNodes } from '../function-constants.ts';
import { dropUnused, removeDead } from '../match.ts';
import { importDomain, isFunctionBody } from '../pass.ts';
import type { QuantizeContext } from './context.ts';

const DOMAIN = 'com.microsoft';
const KERNEL = 'MatMulBnb4';
/** The code of NF4 in the attribute `quant_type`. */
const NF4 = 1;

export interface Bnb4Options {
  /** Elements that share a scale; the library bitsandbytes has 64. */
  readonly block: number;
}

export async function quantizeBnb4(
  model: Model,
  options: Bnb4Options,
  context: QuantizeContext,
): Promise<void> {
  const packed = new Map<Value, Packed>();
  for (const graph of [...allGraphs(model)]) {
    let changed = false;
    for (const node of [...graph.nodes]) {
      if (node.domain !== '' || (node.op !== 'MatMul' && node.op !== 'Gemm')) continue;
      const weight = weightOf(node, context);
      if (typeof weight === 'string') {
        context.decide(node, 'float', weight);
        continue;
      }
      context.decide(node, 'int4');
      replace(model, graph, node, weight, packed, options.block);
      changed = true;
    }
    if (changed && isFunctionBody(model, graph)) constantsToNodes(graph);
  }
}

interface Weight {
  readonly value: Value;
  readonly data: Tensor;
  readonly isTransposed: boolean;
  readonly K: number;
  readonly N: number;
}

/** The weight of a node that can be replaced, or why it cannot. */
function weightOf(node: Node, context: QuantizeContext): Weight | string {
  if (context.wanted(node) === 'float') return 'it was chosen to stay float';
  if (!context.target.has(KERNEL)) return `${context.target.name} has no ${KERNEL}`;
  const value = node.input(1);
  const data = value && constantData(value);
  if (!value || !data) return 'its second operand is not constant';
  if (data.dtype !== 'float32') return `its weight is ${data.dtype}`;
  if (data.shape.length !== 2) return `its weight has ${data.shape.length} dimensions, not 2`;
  if (node.op === 'Gemm' && !isPlain(node)) return 'it scales or transposes its operands';
  const isTransposed = node.op === 'Gemm' && node.int('transB', 0) === 1;
  const [rows = 0, columns = 0] = data.shape;
  const [K, N] = isTransposed ? [columns, rows] : [rows, columns];
  if (K * N === 0) return 'its weight is empty';
  return { value, data, isTransposed, K, N };
}

function isPlain(node: Node): boolean {
  const factors = [node.float('alpha', 1), node.float('beta', 1)];
  return node.int('transA', 0) === 0 && factors.every((factor) => factor === 1);
}

interface Packed {
  readonly codes: Tensor;
  readonly scales: Tensor;
  /** The initializers, by graph. */
  readonly values: Map<Graph, readonly [Value, Value]>;
}

function replace(
  model: Model,
  graph: Graph,
  node: Node,
  weight: Weight,
  known: Map<Value, Packed>,
  block: number,
): void {
  const { value, K, N } = weight;
  const packed = known.get(value) ?? pack(weight, block);
  known.set(value, packed);
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const home = homeOf(model, graph, value);
  const [codes, scales] =
    packed.values.get(home) ??
    ([
      home.addInitializer(`${value.name}_Bnb4`, packed.codes),
      home.addInitializer(`${value.name}_absmax`, packed.scales),
    ] as const);
  packed.values.set(home, [codes, scales]);
  importDomain(model, graph, DOMAIN, 1);
  const attrs = { K, N, block_size: block, quant_type: NF4 };
  const name = node.name ? `${node.name}/${KERNEL}` : graph.fresh(KERNEL);
  const product = g.op(KERNEL, [node.input(0), codes, scales], attrs, { domain: DOMAIN, name });
  const c = node.op === 'Gemm' ? node.input(2) : undefined;
  const sum = c ? g.op('Add', [product, c]) : product;
  const old = node.output;
  if (!sum.shape && old.type) sum.type = old.type;
  graph.replace(old, sum);
  removeDead(graph, [node]);
  dropUnused(home, value);
}

/** Where the weight stands, which every reader of it can see; a Constant node's is the reader's own. */
function homeOf(model: Model, graph: Graph, weight: Value): Graph {
  return [...allGraphs(model)].find((one) => one.initializers.has(weight)) ?? graph;
}

/** Computed when they are written, and once more for the other: memory holds one weight at a time. */
function pack(weight: Weight, block: number): Packed {
  const { data, isTransposed, K, N } = weight;
  const compute = async (): Promise<PackedNormalFloats> => {
    const floats = elementsOf(Tensor.fromBytes(data.dtype, data.shape, await data.load()));
    return packNormalFloats(floats as Float32Array, [K, N], isTransposed, block);
  };
  const count = K * N;
  const [codeBytes, scaleCount] = [Math.ceil(count / 2), Math.ceil(count / block)];
  return {
    codes: new Tensor('uint8', [codeBytes], {
      byteLength: codeBytes,
      compute: async () => (await compute()).codes,
    }),
    scales: new Tensor('float32', [scaleCount], {
      byteLength: 4 * scaleCount,
      compute: async () => new Uint8Array((await compute()).scales.buffer),
    }),
    values: new Map(),
  };
}
