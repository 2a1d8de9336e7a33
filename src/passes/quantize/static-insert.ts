// Puts QuantizeLinear and DequantizeLinear behind the values that are rounded. What an integer kernel
// makes is read through the pair by everybody; what was made in float is read through it only by
// integer kernels, as the floats are there anyway.

import { Builder, type Graph, type Model, type Node, type Value } from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import {
  type Affine,
  integerRange,
  type QuantizedType,
  type Range,
  roundHalfEven,
} from '../../tensor/affine.ts';
import type { DType } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { removeDead } from '../match.ts';
import { importDomain } from '../pass.ts';
import { boundsOf, type Flow } from './static-flow.ts';
import type { Scheme } from './static-lift.ts';

export interface Scale extends Affine {
  /** The value that was calibrated; what is moved shares its scale. */
  readonly source: Value;
  readonly type: DType;
}

/** Scale and zero point as initializers. */
type Parameters = readonly [Value, Value];

export class PairWriter {
  readonly #model: Model;
  readonly #graph: Graph;
  readonly #domain: Scheme['domain'];
  readonly #clipsCodes: boolean;
  readonly #made = new Map<Value, Parameters>();

  /** `clipsCodes`: whether a Relu that remains keeps a kernel from being found. */
  constructor(model: Model, domain: Scheme['domain'], clipsCodes: boolean) {
    this.#model = model;
    this.#clipsCodes = clipsCodes;
    this.#graph = model.graph;
    this.#domain = domain;
    if (domain) importDomain(model, model.graph, domain, 1);
  }

  insertAll(flow: Flow, scales: ReadonlyMap<Value, Scale>): void {
    for (const value of flow.rounded) {
      const scale = scales.get(value);
      if (scale) this.#insert(value, this.#parameters(scale), flow);
    }
    for (const [result, joint] of flow.joined) this.#dropJoint(result, joint, flow, scales);
  }

  /** DequantizeLinear of codes, before `at`. */
  dequantize(at: Node, inputs: readonly Value[], name: string, axis?: number): Value {
    const g = new Builder(this.#graph, at, (made) => inferNode(this.#model, made));
    const attrs = axis === undefined ? {} : { axis };
    const options = { name: this.#graph.fresh(`${name}_dq`), domain: this.#domain };
    return g.op('DequantizeLinear', inputs, attrs, options);
  }

  /** One pair of initializers for everything that shares a scale. */
  #parameters({ source, scale, zeroPoint, type }: Scale): Parameters {
    const known = this.#made.get(source);
    if (known) return known;
    const graph = this.#graph;
    const pair = [
      graph.addInitializer(`${source.name}_scale`, Tensor.scalar('float32', scale)),
      graph.addInitializer(`${source.name}_zero_point`, Tensor.scalar(type, zeroPoint)),
    ] as const;
    this.#made.set(source, pair);
    return pair;
  }

  #insert(value: Value, parameters: Parameters, flow: Flow): void {
    const graph = this.#graph;
    const isMade = flow.made.has(value);
    const readers = value.uses.filter(({ node }) => isMade || flow.integer.has(node));
    const at = value.producer ? value.producer.place.next : [...graph.nodes][0];
    const g = new Builder(graph, at, (node) => inferNode(this.#model, node));
    const domain = this.#domain;
    const name = (ending: string) => graph.fresh(`${value.name}_${ending}`);
    const q = g.op('QuantizeLinear', [value, ...parameters], {}, { name: name('q'), domain });
    const dq = g.op('DequantizeLinear', [q, ...parameters], {}, { name: name('dq'), domain });
    if (!dq.shape && value.type) dq.type = value.type;
    for (const { node, index } of readers) node.setInput(index, dq);
    if (isMade && graph.outputs.includes(value)) this.#renameOutput(value, dq);
  }

  /** The output keeps its name; what the kernel makes gets another one. */
  #renameOutput(value: Value, dq: Value): void {
    const graph = this.#graph;
    const { name } = value;
    value.name = graph.fresh(`${name}_float`);
    dq.name = name;
    dq.type = value.type;
    dq.origin = value.origin;
    value.origin = undefined;
    graph.declared.delete(value);
    graph.outputs = graph.outputs.map((output) => (output === value ? dq : output));
  }

  /** Takes away a Relu or Clip: integers say what it cuts off, by themselves or when they are clipped. */
  #dropJoint(result: Value, joint: Node, flow: Flow, scales: ReadonlyMap<Value, Scale>): void {
    const scale = scales.get(result);
    const [use, ...others] = result.uses;
    const input = joint.inputs[0];
    if (!scale || !use || !input || others.length > 0 || !flow.made.has(result)) return;
    const allowed = allowedCodes(joint, scale);
    if (!allowed) return;
    if (allowed.cutsOff && !this.#clip(use.node, allowed, scale.type)) return;
    use.node.setInput(use.index, input);
    removeDead(this.#graph, [joint]);
  }

  /** Clips what a QuantizeLinear makes; false where that has no kernel, or is read as it stands. */
  #clip(quantize: Node, { min, max }: Range, type: DType): boolean {
    if (!this.#clipsCodes || type.endsWith('16') || this.#model.opset < 12) return false;
    const codes = quantize.output;
    const readers = [...codes.uses];
    const graph = this.#graph;
    const bound = (name: string, code: number) =>
      graph.addInitializer(
        `${codes.name}_${name}`,
        Tensor.fromBytes(type, [], Uint8Array.of(code)),
      );
    const g = new Builder(graph, quantize.place.next, (node) => inferNode(this.#model, node));
    const clipped = g.op('Clip', [codes, bound('min', min), bound('max', max)]);
    for (const { node, index } of readers) node.setInput(index, clipped);
    return true;
  }
}

/** The integers between the bounds of a Relu or Clip, and whether the type has others. */
function allowedCodes(joint: Node, { scale, zeroPoint, type }: Scale) {
  const bounds = boundsOf(joint);
  if (!bounds || type.startsWith('float')) return undefined;
  const all = integerRange({ type: type as QuantizedType, symmetric: false });
  const min = Math.max(all.min, roundHalfEven(bounds.min / scale) + zeroPoint);
  const max = Math.min(all.max, roundHalfEven(bounds.max / scale) + zeroPoint);
  return { min, max, cutsOff: min > all.min || max < all.max };
}
