// Static quantisation: activations get scales from calibration, weights their own, per channel. The
// result is in QDQ form: float operators between QuantizeLinear and DequantizeLinear, which runtimes
// fuse into integer kernels (ONNX specification, QuantizeLinear; onnxruntime, "Quantize ONNX models").
// Three steps: plan which values are rounded, ask once for their ranges, insert.

import { noCalibrationData } from '../../errors/calibrate.ts';
import { allGraphs, type Model, type Node, type Value } from '../../graph/index.ts';
import { constantData, inferTypes } from '../../ops/index.ts';
import { quantizeRole } from '../../ops/quantize-roles.ts';
import { dropUnused } from '../match.ts';
import type { Precision, QuantizeContext } from './context.ts';
import type { Float8Type } from './float8.ts';
import { toQOperators } from './qoperator.ts';
import { type BiasedProduct, makeRoom, scaleProblem, storeBias } from './static-bias.ts';
import { activations, dataInputs, type Flow, planFlow } from './static-flow.ts';
import { PairWriter, type Scale } from './static-insert.ts';
import { prepareOpset, type Scheme } from './static-lift.ts';
import { type Choice, chooseProducts } from './static-products.ts';
import { givenScale, makeScale, Ranges } from './static-ranges.ts';
import { storeConstant, Weights } from './static-weights.ts';

export interface StaticOptions {
  readonly activations: 'uint8' | 'int8' | 'uint16' | 'int16';
  /** int4: no kernel multiplies it; runtimes unpack the weight, or bring a kernel of their own. */
  readonly weights: 'int4' | 'int8' | 'uint8' | 'int16';
  readonly perChannel: boolean;
  readonly symmetricActivations: boolean;
  readonly reduceRange: boolean;
  readonly format: 'qdq' | 'qoperator';
  /** Float8 instead of integers, for activations and weights. */
  readonly float8?: Float8Type | undefined;
  /** Products of two activations, too. Default: those that are asked for by name. */
  readonly products?: boolean | undefined;
}

/** Edits the model in place. */
export async function quantizeStatic(
  model: Model,
  options: StaticOptions,
  context: QuantizeContext,
): Promise<void> {
  const scheme = prepareOpset(model, options);
  inferTypes(model);
  tellInnerGraphs(model, context);
  if (typeof scheme === 'string') {
    for (const node of chosen(model, options, context).keys()) {
      context.decide(node, 'float', scheme);
    }
    return;
  }
  await new StaticQuantizer(model, scheme, context).run();
  inferTypes(model);
}

/** Calibration sees the values of the main graph only. */
function tellInnerGraphs(model: Model, context: QuantizeContext): void {
  const reason = 'it stands in a subgraph or function, which calibration does not see';
  for (const graph of allGraphs(model)) {
    if (graph === model.graph) continue;
    for (const node of graph.nodes) {
      if (quantizeRole(node)?.kind === 'product') context.decide(node, 'float', reason);
    }
  }
}

function chosen(
  model: Model,
  options: StaticOptions,
  { target, wanted }: QuantizeContext,
): Map<Node, Choice> {
  return chooseProducts(model, { options, target, wanted });
}

class StaticQuantizer {
  readonly #model: Model;
  readonly #scheme: Scheme;
  readonly #context: QuantizeContext;
  readonly #choices: Map<Node, Choice>;
  readonly #weights: Weights;

  constructor(model: Model, scheme: Scheme, context: QuantizeContext) {
    this.#model = model;
    this.#scheme = scheme;
    this.#context = context;
    this.#choices = chosen(model, scheme, context);
    this.#weights = new Weights(model, scheme);
  }

  async run(): Promise<void> {
    const { flow, scales } = await this.#plan();
    await this.#write(flow, scales);
    for (const [node, choice] of this.#choices) {
      if (choice.kind === 'float') this.#context.decide(node, 'float', choice.reason);
      else if (choice.kind === 'stored')
        this.#context.decide(node, precisionOf(this.#scheme), choice.reason);
      else this.#context.decide(node, precisionOf(this.#scheme));
    }
    if (this.#scheme.format === 'qoperator') toQOperators(this.#model);
  }

  /** What is rounded, with which scales; products that lack one become float. */
  async #plan(): Promise<{ flow: Flow; scales: Map<Value, Scale> }> {
    const ranges = new Ranges((names) => this.#calibrate(names));
    const missing = new Set<Value>();
    if (this.#products('integer').size > 0) await ranges.askFor(this.#everything().rounded);
    for (;;) {
      const flow = this.#flow(this.#products('integer'), missing);
      await ranges.askFor([...flow.rounded].map((value) => flow.scaleOf(value)));
      const scales = this.#scales(flow, ranges, missing);
      const changed = this.#giveUpUnseen(missing) || (await this.#giveUpTiny(scales));
      if (scales.complete && !changed) return { flow, scales: scales.found };
    }
  }

  #calibrate(names: readonly string[]) {
    const { calibration } = this.#context;
    if (!calibration) throw noCalibrationData('static quantisation');
    return calibration.ranges(this.#model, names);
  }

  #products(kind: Choice['kind']): Set<Node> {
    const found = [...this.#choices].filter(([, choice]) => choice.kind === kind);
    return new Set(found.map(([node]) => node));
  }

  /** The plan without anybody's wishes: all that searches over layers could ever round. */
  #everything(): Flow {
    const wanted = (node: Node) => {
      const choice = this.#choices.get(node);
      return choice?.kind === 'integer' && !choice.weight ? ('int8' as const) : undefined;
    };
    const { target } = this.#context;
    const choices = chooseProducts(this.#model, { options: this.#scheme, target, wanted });
    const products = [...choices].filter(([, choice]) => choice.kind === 'integer');
    return this.#flow(new Set(products.map(([node]) => node)), new Set());
  }

  #flow(products: ReadonlySet<Node>, missing: ReadonlySet<Value>): Flow {
    return planFlow(this.#model, {
      products,
      isGiven: (value) => givenScale(value, this.#scheme.activations) !== undefined,
      hasRange: (value) => !missing.has(value),
    });
  }

  /** Adds sources without a range to those that are missing. */
  #scales(flow: Flow, ranges: Ranges, missing: Set<Value>) {
    const found = new Map<Value, Scale>();
    const made = new Map<Value, Scale>();
    let complete = true;
    const scaleOf = (value: Value): Scale | undefined => {
      const source = flow.scaleOf(value);
      const known = made.get(source) ?? givenScale(source, this.#scheme.activations);
      const range = known ? undefined : ranges.of(source);
      const scale = known ?? (range && makeScale(source, range, this.#scheme));
      if (scale) made.set(source, scale);
      else missing.add(source).add(value);
      return scale;
    };
    const read = [...this.#products('integer')].flatMap(activations);
    for (const value of new Set([...flow.rounded, ...read])) {
      const scale = scaleOf(value);
      if (scale) found.set(value, scale);
      else complete = false;
    }
    return { found, complete };
  }

  /** Products with an operand or result that no sample reached (a branch not taken) stay float. */
  #giveUpUnseen(missing: ReadonlySet<Value>): boolean {
    let changed = false;
    for (const node of this.#products('integer')) {
      const needed = activations(node);
      if (quantizeRole(node)?.needsOutput) needed.push(...resultsOf(node));
      const value = needed.find((one) => missing.has(one));
      if (!value) continue;
      const reason = `no sample of the calibration data reaches "${value.name}"`;
      this.#choices.set(node, { kind: 'float', reason });
      changed = true;
    }
    return changed;
  }

  async #giveUpTiny({ found }: { found: ReadonlyMap<Value, Scale> }): Promise<boolean> {
    let changed = false;
    for (const product of await this.#biased(found)) {
      const reason = scaleProblem(product);
      if (!reason) continue;
      this.#choices.set(product.node, { kind: 'float', reason });
      changed = true;
    }
    return changed;
  }

  /** Products of an activation with a scale and a weight. */
  async #biased(scales: ReadonlyMap<Value, Scale>): Promise<BiasedProduct[]> {
    const products: BiasedProduct[] = [];
    for (const [node, choice] of this.#choices) {
      if (choice.kind !== 'integer' || !choice.weight || this.#scheme.float8) continue;
      const value = node.inputs[1 - choice.weight.index];
      const activation = value && scales.get(value);
      if (!activation) continue;
      products.push({ node, weight: await this.#weights.weight(node, choice.weight), activation });
    }
    return products;
  }

  async #write(flow: Flow, scales: ReadonlyMap<Value, Scale>): Promise<void> {
    const model = this.#model;
    const pairs = new PairWriter(model, this.#scheme.domain, this.#context.target.name !== 'cuda');
    const biased = await this.#biased(scales);
    for (const product of biased) makeRoom(product);
    for (const product of biased) storeBias(model, product, pairs);
    for (const [node, choice] of this.#choices) {
      if (choice.kind === 'float' || !choice.weight) continue;
      const weight = await this.#weights.weight(node, choice.weight);
      weight.output ??= storeConstant(model, node, weight, this.#scheme, pairs);
      node.setInput(choice.weight.index, weight.output);
      makePlain(node);
    }
    await this.#writeConstants(flow, pairs);
    for (const { value, data, output } of this.#weights.all) {
      if (output) this.#context.stored?.(output, data);
      dropUnused(model.graph, value);
    }
    pairs.insertAll(flow, scales);
  }

  async #writeConstants(flow: Flow, pairs: PairWriter): Promise<void> {
    for (const node of flow.integer) {
      const role = quantizeRole(node);
      if (role?.kind !== 'follow') continue;
      for (const value of dataInputs(node, role)) {
        const data = constantData(value);
        if (!data || !flow.constants.has(value)) continue;
        const constant = await this.#weights.constant(node, value, data);
        constant.output ??= storeConstant(this.#model, node, constant, this.#scheme, pairs);
        node.setInput(node.inputs.indexOf(value), constant.output);
      }
    }
  }
}

/** The result of a kernel, and what a Relu behind it makes. */
function resultsOf(node: Node): Value[] {
  const [use, ...others] = node.output.uses;
  return use && others.length === 0 ? [node.output, ...use.node.outputs] : [node.output];
}

/** The factors of Gemm are part of weight and bias now. */
function makePlain(node: Node): void {
  if (node.op !== 'Gemm') return;
  node.setAttr('alpha', undefined);
  const bias = node.inputs[2]?.producer;
  if (bias?.op === 'DequantizeLinear') node.setAttr('beta', undefined);
}

function precisionOf({ activations: type, float8 }: StaticOptions): Precision {
  if (float8) return 'fp8';
  return type.endsWith('16') ? 'int16' : 'int8';
}
