// Recurrent operators and Scan.

import { attr, Graph, Node, Value } from '../../graph/index.ts';
import { skip } from '../pass.ts';
import type { Adapters, UpgradeContext } from './adapter.ts';
import { drop, renameWords } from './attributes.ts';

/** Whether to give every step is said by reading that output or not. */
const sequence = drop('output_sequence');

/**
 * The first version of Scan had a batch axis before all others: a scan over the batch, whose body is
 * the scan over the sequence of one sample.
 */
function scanBatch(node: Node, c: UpgradeContext) {
  const body = node.attrs.get('body');
  if (!body) return skip('it has no body');
  if (node.input(0)) return skip('its sequences have lengths of their own');
  const inputs = node.inputs.slice(1);
  const perSample = new Graph(`${node.name}_sample`);
  const taken = inputs.map(() => new Value(c.graph.fresh(`${node.name}_sample`)));
  const made = node.outputs.map(() => new Value(c.graph.fresh(`${node.name}_sample`)));
  const attrs = new Map([
    ['body', body],
    ['num_scan_inputs', attr.int(node.int('num_scan_inputs', 1))],
  ]);
  const directions = node.attrs.get('directions');
  if (directions) attrs.set('scan_input_directions', directions);
  // A graph belongs to one node.
  node.setAttr('body', undefined);
  const name = c.graph.fresh(`${node.name}_steps`);
  perSample.inputs.push(...taken);
  perSample.append(new Node({ op: 'Scan', name, inputs: taken, outputs: made, attrs }));
  perSample.outputs.push(...made);
  return c.become(node, 'Scan', inputs, { body: perSample, num_scan_inputs: inputs.length });
}

export const recurrent: Adapters = {
  GRU: { 3: renameWords('direction', { foward: 'forward' }), 7: sequence },
  LSTM: { 7: sequence },
  RNN: { 7: sequence },
  Scan: { 9: scanBatch },
};
