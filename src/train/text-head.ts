// Classes for a model of texts: instead of scores for each token (or their states), one product with the
// mean of the last states of all tokens that the attention mask lets count.

import { headNotFound } from '../errors/train.ts';
import {
  Builder,
  dropUnread,
  type Graph,
  type Model,
  type Node,
  tensorType,
  type Value,
} from '../graph/index.ts';
import { inferNode, inferTypes } from '../ops/index.ts';
import { dtypeCode } from '../tensor/dtype.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import { tokenInput } from './objectives/language.ts';

/** Whether the first output is about tokens, [N, S, …], of an input of ids [N, S]. */
export function isOfTokens({ graph }: Model): boolean {
  const { inputs, outputs } = graph;
  return outputs[0]?.shape?.length === 3 && tokenInput({ inputs, outputs }) !== undefined;
}

/** Replaces the outputs in place by scores of classes, [N, classes]. */
export function classifyTexts(model: Model, classes: number, seed: number): void {
  const { graph } = model;
  inferTypes(model);
  const output = graph.outputs[0] as Value;
  const states = statesOf(output);
  const size = Number(states.shape?.[2]);
  if (!Number.isInteger(size)) throw headNotFound(model.path ?? '', states.producer?.op);
  const g = new Builder(graph, undefined, (node) => inferNode(model, node));
  const random = new Random(seed, 'head');
  const drawn = Float32Array.from(
    { length: size * classes },
    () => (2 * random.uniform() - 1) / Math.sqrt(size),
  );
  const weight = g.constant('classifier.weight', Tensor.of('float32', [size, classes], drawn));
  const zeros = Tensor.of('float32', [classes], new Float32Array(classes));
  const bias = g.constant('classifier.bias', zeros);
  const logits = g.op('Gemm', [meanOfTokens(graph, g, states), weight, bias]);
  logits.type = tensorType('float32', [output.shape?.[0] ?? 1, classes]);
  const { name } = output;
  output.name = graph.fresh(`${name}_of_tokens`);
  graph.outputs = [logits];
  dropUnread(graph);
  logits.name = name;
}

const AROUND = new Set(['Add', 'Identity', 'Softmax', 'LogSoftmax']);

/** What the layers behind the last residual sum read; the output itself where no product makes scores. */
function statesOf(output: Value): Value {
  let value: Value | undefined = output;
  while (value?.producer) {
    const { producer }: Value = value;
    const [first, second]: Value[] = computedOf(producer);
    if (producer.op === 'MatMul') return streamEnd(producer.inputs[0] as Value);
    if (!AROUND.has(producer.op) || (producer.op === 'Add' && second)) return output;
    value = first;
  }
  return output;
}

/**
 * The end of the residual stream, with its norm: products between it and the scores (as BERT's transform)
 * serve words alone. The value itself where no such stream is behind it.
 */
function streamEnd(states: Value): Value {
  let found = states;
  let value: Value | undefined = states;
  while (value?.producer) {
    const { producer }: Value = value;
    const [first, second]: Value[] = computedOf(producer);
    if (producer.op === 'Add' && second) return found;
    if (producer.op === 'MatMul' && first) found = first;
    value = first;
  }
  return states;
}

/** Inputs that are no constants. */
function computedOf(node: Node): Value[] {
  return node.inputs.flatMap((input) => (input?.producer ? [input] : []));
}

/** Keeps the mean of no tokens at all a number. */
const TINY = 1e-9;

/** [N, S, D] → [N, D], in operators that every opset has in the same form. */
function meanOfTokens(graph: Graph, g: Builder, states: Value): Value {
  const byState = g.op('Transpose', [states], { perm: [0, 2, 1] });
  const mask = graph.inputs.find(
    ({ name }) => /attention_mask/i.test(name) && !/decoder/i.test(name),
  );
  const pool = (x: Value) => g.op('GlobalAveragePool', [x]);
  if (!mask) return g.op('Flatten', [pool(byState)]);
  const row = g.op('Reshape', [mask, g.constant('mask_shape', Tensor.int64([0, 1, -1]))]);
  const there = g.op('Cast', [row], { to: dtypeCode('float32') });
  const share = g.op('Add', [pool(there), g.constant('tiny', Tensor.scalar('float32', TINY))]);
  return g.op('Flatten', [g.op('Div', [pool(g.op('Mul', [byState, there])), share])]);
}
