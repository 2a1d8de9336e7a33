// LSTM, GRU and RNN begin with zeros where no initial state is given: one of zeros need not be.

import type { Value } from '../../graph/index.ts';
import { constant, numbers, producer, removeDead } from '../match.ts';
import { rewrite } from '../pass.ts';

/** Positions of initial_h, and of initial_c of LSTM. */
const STATES = [5, 6];

export default rewrite({
  name: 'drop-zero-state',
  summary: 'Leaves out initial states of zeros of LSTM, GRU and RNN',
  on: ['LSTM', 'GRU', 'RNN'],
  apply(node, context) {
    let changed = false;
    for (const index of STATES) {
      const state = node.input(index);
      if (!state || (index === 6 && node.op !== 'LSTM') || !isZero(state)) continue;
      node.setInput(index, undefined);
      if (state.producer) removeDead(context.graph, [state.producer]);
      changed = true;
    }
    // Trailing inputs that are left out are not written at all.
    let count = node.inputs.length;
    while (count > 3 && !node.input(count - 1)) count -= 1;
    node.dropInputs(count);
    return changed;
  },
});

function isZero(state: Value): boolean {
  const maker = producer(state, 'ConstantOfShape');
  if (maker)
    return !maker
      .tensor('value')
      ?.bytes()
      .some((byte) => byte !== 0);
  return constant(state) !== undefined && (numbers(state)?.every((x) => x === 0) ?? false);
}
