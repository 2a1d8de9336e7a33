// BERT (Devlin et al. 2018): post-norm encoder over words, positions and segments. The defaults are
// BERT-base, uncased. Names of weights are those of Hugging Face's BertModel; weights of linear
// layers are stored [inputs, outputs].

import type { Value } from '../graph/index.ts';
import { architecture, checkHeads, oneOf, single } from './architecture.ts';
import {
  attention,
  dense,
  dropout,
  embedding,
  layerNorm,
  linear,
  maskPenalty,
  positions,
  TRANSFORMER,
  tiedLogits,
} from './blocks.ts';
import { zeros } from './initialize.ts';
import { Net } from './net.ts';

const EPSILON = 1e-12;
const SEGMENTS = 2;

interface Sizes {
  readonly hidden: number;
  readonly heads: number;
  readonly mlpDim: number;
  readonly vocab: number;
  readonly seq: number;
  readonly dropout: number;
}

export const bert = architecture({
  name: 'bert',
  summary: 'bidirectional transformer encoder for text',
  defaults: {
    vocab: 30522,
    hidden: [768],
    layers: 12,
    heads: 12,
    mlpDim: 3072,
    seq: 512,
    dropout: 0,
    head: 'none',
  },
  optional: ['classes'],
  build(choices, seed) {
    const hidden = single('hidden', choices.hidden);
    const { layers, classes } = choices;
    const head = oneOf('head', choices.head, ['none', 'mlm']);
    checkHeads(hidden, choices.heads);
    const sizes = { ...choices, hidden };
    const net = new Net('bert', seed);
    const ids = net.input('input_ids', 'int64', ['batch', 'seq']);
    const mask = net.input('attention_mask', 'int64', ['batch', 'seq']);
    const segments = net.input('token_type_ids', 'int64', ['batch', 'seq']);
    const embedded = embed(net, ids, segments, sizes);
    const penalty = maskPenalty(net, mask);
    let x = embedded.x;
    for (let i = 0; i < layers; i++) x = block(net, x, `encoder.layer.${i}`, sizes, penalty);
    if (head === 'mlm') {
      const logits = predictWords(net, x, embedded.wordTable, sizes);
      net.output(logits, 'logits', ['batch', 'seq', sizes.vocab]);
      return net.finish();
    }
    const pooled = dropout(net, pool(net, x, hidden), 'pooler', choices.dropout);
    if (classes !== undefined) {
      const logits = dense(
        net,
        pooled,
        'classifier',
        { inputs: hidden, outputs: classes },
        TRANSFORMER,
      );
      net.output(logits, 'logits', ['batch', classes]);
      return net.finish();
    }
    net.output(x, 'last_hidden_state', ['batch', 'seq', hidden]);
    net.output(pooled, 'pooler_output', ['batch', hidden]);
    return net.finish();
  },
});

function embed(net: Net, ids: Value, segments: Value, sizes: Sizes) {
  const { hidden, vocab, seq } = sizes;
  const scope = 'embeddings';
  const table = (name: string, rows: number) =>
    net.weight(`${scope}.${name}.weight`, [rows, hidden], TRANSFORMER.weight);
  const wordTable = table('word_embeddings', vocab);
  const placeTable = table('position_embeddings', seq);
  const segmentTable = table('token_type_embeddings', SEGMENTS);
  const words = embedding(net, ids, `${scope}.word_embeddings`, wordTable);
  const steps = positions(net, ids);
  const places = embedding(net, steps, `${scope}.position_embeddings`, placeTable);
  const types = embedding(net, segments, `${scope}.token_type_embeddings`, segmentTable);
  const sum = net.op(scope, 'Add', [net.op(scope, 'Add', [words, types]), places]);
  const x = layerNorm(net, sum, `${scope}.LayerNorm`, hidden, EPSILON);
  return { x: dropout(net, x, scope, sizes.dropout), wordTable };
}

function block(net: Net, x: Value, name: string, sizes: Sizes, penalty: Value): Value {
  const { hidden, mlpDim } = sizes;
  const square = { inputs: hidden, outputs: hidden };
  const self = `${name}.attention.self`;
  const q = linear(net, x, `${self}.query`, square);
  const k = linear(net, x, `${self}.key`, square);
  const v = linear(net, x, `${self}.value`, square);
  const context = attention(net, self, { q, k, v }, sizes, penalty);
  const attended = linear(net, context, `${name}.attention.output.dense`, square);
  const kept = dropout(net, attended, `${name}.attention.output`, sizes.dropout);
  const middle = layerNorm(
    net,
    net.op(`${name}.attention.output`, 'Add', [kept, x]),
    `${name}.attention.output.LayerNorm`,
    hidden,
    EPSILON,
  );
  let y = linear(net, middle, `${name}.intermediate.dense`, { inputs: hidden, outputs: mlpDim });
  y = net.op(`${name}.intermediate`, 'Gelu', [y]);
  y = linear(net, y, `${name}.output.dense`, { inputs: mlpDim, outputs: hidden });
  y = dropout(net, y, `${name}.output`, sizes.dropout);
  y = net.op(`${name}.output`, 'Add', [y, middle]);
  return layerNorm(net, y, `${name}.output.LayerNorm`, hidden, EPSILON);
}

/** tanh of a dense layer over the first token. */
function pool(net: Net, x: Value, hidden: number): Value {
  const first = net.op('pooler', 'Gather', [x, net.int(0)], { axis: 1 });
  const square = { inputs: hidden, outputs: hidden };
  return net.op('pooler', 'Tanh', [dense(net, first, 'pooler.dense', square, TRANSFORMER)]);
}

/** The masked-word head: a transform, then the word table as weight, with a bias of its own. */
function predictWords(net: Net, x: Value, words: Value, { hidden, vocab }: Sizes): Value {
  const scope = 'cls.predictions';
  const square = { inputs: hidden, outputs: hidden };
  let y = linear(net, x, `${scope}.transform.dense`, square);
  y = net.op(`${scope}.transform`, 'Gelu', [y]);
  y = layerNorm(net, y, `${scope}.transform.LayerNorm`, hidden, EPSILON);
  const bias = net.weight(`${scope}.bias`, [vocab], zeros);
  return net.op(scope, 'Add', [tiedLogits(net, y, `${scope}.decoder`, words), bias]);
}
