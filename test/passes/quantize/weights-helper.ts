// For tests of quantised weights: the weights that packed bytes stand for, read element by element as
// the operators' documentation has it, and a context that remembers what was decided.

import type { Model, Node, Value } from '../../../src/graph/index.ts';
import { allGraphs, Builder } from '../../../src/graph/index.ts';
import { removeDead } from '../../../src/passes/match.ts';
import type { Runner } from '../../../src/passes/pass.ts';
import type {
  Calibration,
  Precision,
  QuantizeContext,
} from '../../../src/passes/quantize/context.ts';
import { dtypeCode } from '../../../src/tensor/dtype.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';

export interface ContextParts {
  readonly wanted?: Readonly<Record<string, Precision>>;
  readonly has?: (kernel: string) => boolean;
  readonly calibration?: Calibration;
}

export function contextOf(run: Runner, parts: ContextParts = {}) {
  const decided: [string, Precision, string | undefined][] = [];
  const context: QuantizeContext = {
    run,
    target: {
      name: 'cpu',
      isHere: true,
      exactProducts: true,
      has: parts.has ?? (() => true),
    },
    seed: 0,
    calibration: parts.calibration,
    wanted: (node) => parts.wanted?.[node.name],
    decide: (node, precision, reason) => void decided.push([node.name, precision, reason]),
  };
  return { context, decided };
}

export function normals(count: number, seed = 1): Float32Array {
  const random = new Random(seed, 'normals');
  return Float32Array.from({ length: count }, () => random.normal());
}

export const opsOf = (model: Model) =>
  [...allGraphs(model)].flatMap((graph) => [...graph.nodes].map(({ op }) => op)).sort();

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return Array.from(a, (x, i) => Math.abs(x - (b[i] ?? Number.NaN))).reduce(
    (most, x) => (x > most || Number.isNaN(x) ? x : most),
    0,
  );
}

async function loaded(value: Value | undefined): Promise<Tensor | undefined> {
  const data = value?.data;
  return data && Tensor.fromBytes(data.dtype, data.shape, await data.load());
}

/** Element `index` of those packed into bytes, low bits first. */
function code(bytes: ArrayLike<number>, index: number, bits: number): number {
  const perByte = 8 / bits;
  const byte = bytes[Math.floor(index / perByte)] ?? Number.NaN;
  return (byte >> ((index % perByte) * bits)) & (2 ** bits - 1);
}

/** [rows, width] of the packed rows of MatMulNBits or GatherBlockQuantized. */
async function restored(
  inputs: readonly (Value | undefined)[],
  [rows, width]: readonly [number, number],
  bits: number,
  block: number,
): Promise<Float32Array> {
  const [codes, scales, zeros] = await Promise.all(inputs.map(loaded));
  if (!codes || !scales) throw new Error('no packed weight');
  const blocks = Math.ceil(width / block);
  const factors = elementsOf(scales);
  const values = new Float32Array(rows * width);
  const rowBytes = codes.byteLength / rows;
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  for (let row = 0; row < rows; row++) {
    const own = codes.bytes().subarray(row * rowBytes, (row + 1) * rowBytes);
    const ownZeros = zeros?.bytes().subarray(row * zeroBytes, (row + 1) * zeroBytes);
    for (let k = 0; k < width; k++) {
      const b = Math.floor(k / block);
      const zero = ownZeros ? code(ownZeros, b, bits) : 2 ** (bits - 1);
      values[row * width + k] = (code(own, k, bits) - zero) * Number(factors[row * blocks + b]);
    }
  }
  return values;
}

/**
 * Puts plain MatMul and Gather over float weights in the place of MatMulNBits and
 * GatherBlockQuantized; returns the weights, [rows, width], by the names of the nodes.
 */
export async function restoreWeights(model: Model): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const graph of [...allGraphs(model)]) {
    for (const node of [...graph.nodes]) {
      const restore = { MatMulNBits: product, GatherBlockQuantized: picked }[node.op];
      if (!restore) continue;
      const { weight, result } = await restore(node, new Builder(graph, node));
      found.set(node.name, weight);
      graph.replace(node.output, result);
      removeDead(graph, [node]);
    }
  }
  return found;
}

async function product(node: Node, g: Builder) {
  const [N, K] = [node.int('N', 0), node.int('K', 0)];
  const size = [N, K] as const;
  const weight = await restored(node.inputs.slice(1, 4), size, ...bitsAndBlock(node));
  const turned = weight.map((_, i) => weight[(i % N) * K + Math.floor(i / N)] ?? Number.NaN);
  const dtype = node.input(2)?.dtype ?? 'float32';
  const value = g.constant('restored', Tensor.of('float32', [K, N], turned));
  const cast = dtype === 'float32' ? value : g.op('Cast', [value], { to: dtypeCode(dtype) });
  return { weight, result: g.op('MatMul', [node.input(0), cast]) };
}

async function picked(node: Node, g: Builder) {
  const inner = node.input(0)?.producer;
  const codes = inner?.op === 'Reshape' ? inner.input(0) : node.input(0);
  const rows = Number(codes?.shape?.[0]);
  const [bits, block] = bitsAndBlock(node);
  const width = ((codes?.data?.byteLength ?? 0) / rows) * (8 / bits);
  const inputs = [codes, node.input(2), node.input(3)];
  const weight = await restored(inputs, [rows, width], bits, block);
  const value = g.constant('restored', Tensor.of('float32', [rows, width], weight));
  return { weight, result: g.op('Gather', [value, node.input(1)]) };
}

const bitsAndBlock = (node: Node) => [node.int('bits', 4), node.int('block_size', 0)] as const;

/** The nodes of an operator, wherever they are. */
export function nodesOf(model: Model, op: string): Node[] {
  return [...allGraphs(model)].flatMap((graph) => [...graph.nodes].filter((n) => n.op === op));
}
