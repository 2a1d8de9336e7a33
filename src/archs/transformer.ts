// The encoder-decoder transformer (Vaswani et al. 2017) with norms before each part (Xiong et al. 2020),
// learned positions, and one table for the words of both languages and the output layer (Press and Wolf
// 2017). The defaults are the sizes of the paper's base model.

import type { Value } from '../graph/index.ts';
import { architecture, checkHeads, single } from './architecture.ts';
import {
  attention,
  causalMask,
  dropout,
  embedding,
  layerNorm,
  linear,
  maskPenalty,
  positions,
  TRANSFORMER,
  tiedLogits,
} from './blocks.ts';
import { Net } from './net.ts';

const EPSILON = 1e-5;

interface Sizes {
  readonly hidden: number;
  readonly heads: number;
  readonly mlpDim: number;
  readonly dropout: number;
}

/** What an attention reads, and what is added to its scores. */
interface Source {
  readonly memory: Value;
  readonly mask: Value;
}

export const transformer = architecture({
  name: 'transformer',
  summary: 'transformer encoder-decoder for text to text',
  defaults: { vocab: 32000, hidden: [512], layers: 6, heads: 8, seq: 256, dropout: 0 },
  optional: ['mlpDim'],
  build(choices, seed) {
    const hidden = single('hidden', choices.hidden);
    const { vocab, seq, layers } = choices;
    checkHeads(hidden, choices.heads);
    const sizes = { ...choices, hidden, mlpDim: choices.mlpDim ?? 4 * hidden };
    const net = new Net('transformer', seed);
    const ids = net.input('input_ids', 'int64', ['batch', 'source']);
    const mask = net.input('attention_mask', 'int64', ['batch', 'source']);
    const before = net.input('decoder_input_ids', 'int64', ['batch', 'target']);
    const words = net.weight('shared.weight', [vocab, hidden], TRANSFORMER.weight);
    const placed = (tokens: Value, name: string) => {
      const steps = positions(net, tokens);
      const table = net.weight(`${name}.embed_positions.weight`, [seq, hidden], TRANSFORMER.weight);
      const places = embedding(net, steps, `${name}.embed_positions`, table);
      const own = embedding(net, tokens, `${name}.embed_tokens`, words);
      const x = dropout(net, net.op(name, 'Add', [own, places]), name, choices.dropout);
      return { x, steps };
    };

    const penalty = maskPenalty(net, mask);
    let x = placed(ids, 'encoder').x;
    for (let i = 0; i < layers; i++) {
      const name = `encoder.layers.${i}`;
      x = attend(net, x, `${name}.self_attn`, sizes, { mask: penalty });
      x = feedForward(net, x, name, sizes);
    }
    const memory = layerNorm(net, x, 'encoder.layer_norm', hidden, EPSILON);

    const decoder = placed(before, 'decoder');
    const later = causalMask(net, decoder.steps);
    let y = decoder.x;
    for (let i = 0; i < layers; i++) {
      const name = `decoder.layers.${i}`;
      y = attend(net, y, `${name}.self_attn`, sizes, { mask: later });
      y = attend(net, y, `${name}.encoder_attn`, sizes, { memory, mask: penalty });
      y = feedForward(net, y, name, sizes);
    }
    y = layerNorm(net, y, 'decoder.layer_norm', hidden, EPSILON);
    net.output(tiedLogits(net, y, 'lm_head', words), 'logits', ['batch', 'target', vocab]);
    return net.finish();
  },
});

/** x + attention(norm(x), memory); without a memory, to itself. */
function attend(
  net: Net,
  x: Value,
  name: string,
  sizes: Sizes,
  { memory, mask }: Partial<Source> & Pick<Source, 'mask'>,
): Value {
  const square = { inputs: sizes.hidden, outputs: sizes.hidden };
  const own = layerNorm(net, x, `${name}_layer_norm`, sizes.hidden, EPSILON);
  const read = memory ?? own;
  const q = linear(net, own, `${name}.q_proj`, square);
  const k = linear(net, read, `${name}.k_proj`, square);
  const v = linear(net, read, `${name}.v_proj`, square);
  const context = attention(net, name, { q, k, v }, sizes, mask);
  const y = linear(net, context, `${name}.out_proj`, square);
  return net.op(name, 'Add', [x, dropout(net, y, name, sizes.dropout)]);
}

function feedForward(net: Net, x: Value, name: string, sizes: Sizes): Value {
  const { hidden, mlpDim } = sizes;
  const norm = layerNorm(net, x, `${name}.final_layer_norm`, hidden, EPSILON);
  let y = linear(net, norm, `${name}.fc1`, { inputs: hidden, outputs: mlpDim });
  y = net.op(name, 'Relu', [y]);
  y = linear(net, y, `${name}.fc2`, { inputs: mlpDim, outputs: hidden });
  return net.op(name, 'Add', [x, dropout(net, y, name, sizes.dropout)]);
}
