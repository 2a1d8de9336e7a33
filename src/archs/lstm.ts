// Stacked LSTM (Hochreiter and Schmidhuber 1997) over a series of numbers, or over tokens with
// --vocab. Head `last` classifies what is left after the last step, `steps` says something at each
// step: over tokens, the next one. Gates in the weights stand in ONNX's order, input, output,
// forget, cell.

import { usageProblem } from '../errors/usage.ts';
import type { Value } from '../graph/index.ts';
import { architecture, oneOf, single } from './architecture.ts';
import { dense, embedding, linear } from './blocks.ts';
import { normal, uniform } from './initialize.ts';
import { Net } from './net.ts';

const GATES = 4;

export const lstm = architecture({
  name: 'lstm',
  summary: 'stacked LSTM for series and text',
  defaults: { in: [1], hidden: [128], layers: 2, head: 'last', bidirectional: false },
  optional: ['vocab', 'classes'],
  build(choices, seed) {
    const { vocab, layers } = choices;
    const hidden = single('hidden', choices.hidden);
    const head = oneOf('head', choices.head, ['last', 'steps']);
    if (vocab !== undefined && head === 'steps' && choices.bidirectional) {
      throw usageProblem(
        'a bidirectional LSTM has seen the next token before it says it',
        'Leave out --bidirectional or --head steps.',
      );
    }
    const directions = choices.bidirectional ? 2 : 1;
    const net = new Net('lstm', seed);
    let size = vocab === undefined ? single('in', choices.in) : hidden;
    // The operator wants time first: [seq, batch, size].
    let x = net.op('', 'Transpose', [readInput(net, vocab, size)], { perm: [1, 0, 2] });
    for (let i = 0; i < layers - 1; i++) {
      x = layer(net, x, `lstm.${i}`, { inputs: size, hidden, directions }).steps();
      size = hidden * directions;
    }
    const top = layer(net, x, `lstm.${layers - 1}`, { inputs: size, hidden, directions });
    size = hidden * directions;
    const outputs = choices.classes ?? (head === 'steps' && vocab ? vocab : 10);
    const bound = uniform(1 / Math.sqrt(size));
    const start = { weight: bound, bias: bound };
    if (head === 'last') {
      const y = dense(net, top.last(), 'classifier', { inputs: size, outputs }, start);
      net.output(y, 'logits', ['batch', outputs]);
    } else {
      const batchFirst = net.op('', 'Transpose', [top.steps()], { perm: [1, 0, 2] });
      const y = linear(net, batchFirst, 'classifier', { inputs: size, outputs }, start);
      net.output(y, 'logits', ['batch', 'seq', outputs]);
    }
    return net.finish();
  },
});

function readInput(net: Net, vocab: number | undefined, size: number): Value {
  if (vocab === undefined) return net.input('input', 'float32', ['batch', 'seq', size]);
  const ids = net.input('input_ids', 'int64', ['batch', 'seq']);
  return embedding(net, ids, 'embedding', net.weight('embedding.weight', [vocab, size], normal(1)));
}

interface LayerSizes {
  readonly inputs: number;
  readonly hidden: number;
  readonly directions: number;
}

/** [seq, batch, inputs] → every step [seq, batch, directions * hidden], or the last one. */
function layer(net: Net, x: Value, name: string, { inputs, hidden, directions }: LayerSizes) {
  const start = uniform(1 / Math.sqrt(hidden));
  const gates = GATES * hidden;
  const weights = [
    net.weight(`${name}.weight_ih`, [directions, gates, inputs], start),
    net.weight(`${name}.weight_hh`, [directions, gates, hidden], start),
    net.weight(`${name}.bias`, [directions, 2 * gates], start),
  ];
  const [all, final] = net.ops(name, 'LSTM', [x, ...weights], 2, {
    hidden_size: hidden,
    direction: directions === 2 ? 'bidirectional' : 'forward',
  }) as [Value, Value];
  // Directions stand before the batch: bring them beside the hidden size.
  return {
    steps: () =>
      net.op(name, 'Reshape', [
        net.op(name, 'Transpose', [all], { perm: [0, 2, 1, 3] }),
        net.ints(0, 0, -1),
      ]),
    last: () =>
      net.op(name, 'Reshape', [
        net.op(name, 'Transpose', [final], { perm: [1, 0, 2] }),
        net.ints(0, -1),
      ]),
  };
}
