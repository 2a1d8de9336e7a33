// GPT-2 (Radford et al. 2019): pre-norm decoder with a causal mask; the table of words is the output
// layer, too. The defaults are GPT-2 small. Names of weights are those of Hugging Face's
// GPT2LMHeadModel, whose linear layers are stored [inputs, outputs].

import type { Value } from '../graph/index.ts';
import { architecture, checkHeads, single } from './architecture.ts';
import {
  attention,
  causalMask,
  dropout,
  embedding,
  layerNorm,
  linear,
  positions,
  tiedLogits,
} from './blocks.ts';
import { normal } from './initialize.ts';
import { Net } from './net.ts';

const EPSILON = 1e-5;
const START = { weight: normal(0.02) };
/** As in the original code. */
const POSITION_START = normal(0.01);

interface Sizes {
  readonly hidden: number;
  readonly heads: number;
  readonly mlpDim: number;
  readonly layers: number;
  readonly dropout: number;
}

export const gpt = architecture({
  name: 'gpt',
  summary: 'causal transformer decoder for text',
  defaults: { vocab: 50257, hidden: [768], layers: 12, heads: 12, seq: 1024, dropout: 0 },
  optional: ['mlpDim'],
  build(choices, seed) {
    const hidden = single('hidden', choices.hidden);
    const { vocab, seq, layers } = choices;
    checkHeads(hidden, choices.heads);
    const sizes = { ...choices, hidden, mlpDim: choices.mlpDim ?? 4 * hidden };
    const net = new Net('gpt', seed);
    const ids = net.input('input_ids', 'int64', ['batch', 'seq']);
    const steps = positions(net, ids);
    const wordTable = net.weight('transformer.wte.weight', [vocab, hidden], START.weight);
    const placeTable = net.weight('transformer.wpe.weight', [seq, hidden], POSITION_START);
    const words = embedding(net, ids, 'transformer.wte', wordTable);
    const places = embedding(net, steps, 'transformer.wpe', placeTable);
    const sum = net.op('transformer', 'Add', [words, places]);
    let x = dropout(net, sum, 'transformer', choices.dropout);
    const mask = causalMask(net, steps);
    for (let i = 0; i < layers; i++) x = block(net, x, `transformer.h.${i}`, sizes, mask);
    x = layerNorm(net, x, 'transformer.ln_f', hidden, EPSILON);
    const logits = tiedLogits(net, x, 'lm_head', wordTable);
    net.output(logits, 'logits', ['batch', 'seq', vocab]);
    return net.finish();
  },
});

function block(net: Net, x: Value, name: string, sizes: Sizes, mask: Value): Value {
  const { hidden, mlpDim, layers } = sizes;
  // Each of the 2 N layers that add to the residual stream gets its share of the variance.
  const residual = { weight: normal(0.02 / Math.sqrt(2 * layers)) };
  const square = { inputs: hidden, outputs: hidden };
  const a = layerNorm(net, x, `${name}.ln_1`, hidden, EPSILON);
  const joint = linear(
    net,
    a,
    `${name}.attn.c_attn`,
    { inputs: hidden, outputs: 3 * hidden },
    START,
  );
  const [q, k, v] = net.ops(`${name}.attn`, 'Split', [joint], 3, {
    axis: -1,
    num_outputs: 3,
  }) as [Value, Value, Value];
  const context = attention(net, `${name}.attn`, { q, k, v }, sizes, mask);
  const attended = linear(net, context, `${name}.attn.c_proj`, square, residual);
  const kept = dropout(net, attended, `${name}.attn`, sizes.dropout);
  const middle = net.op(name, 'Add', [x, kept]);
  const b = layerNorm(net, middle, `${name}.ln_2`, hidden, EPSILON);
  let y = linear(net, b, `${name}.mlp.c_fc`, { inputs: hidden, outputs: mlpDim }, START);
  y = net.op(`${name}.mlp`, 'Gelu', [y], { approximate: 'tanh' });
  y = linear(net, y, `${name}.mlp.c_proj`, { inputs: mlpDim, outputs: hidden }, residual);
  return net.op(name, 'Add', [middle, dropout(net, y, `${name}.mlp`, sizes.dropout)]);
}
