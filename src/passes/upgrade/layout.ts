// Operators that move elements: what they were told by attributes came to be inputs.

import { attr, type Node } from '../../graph/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { numbers } from '../match.ts';
import { skip } from '../pass.ts';
import type { Adapters, UpgradeContext } from './adapter.ts';
import { drop, inTurn, intsToInput, keepDefault } from './attributes.ts';

/** Padding by a value of the type of the data; 0 is what it is without being told. */
function padByInputs(node: Node, c: UpgradeContext) {
  const value = node.float('value', 0);
  if (value !== 0) {
    const dtype = node.input(0)?.dtype;
    if (!dtype || !isFloat(dtype)) return skip('the type of its input is not known');
    node.setInput(
      2,
      c.constant(`${dtype}_${value}`, floatTensor(dtype, [], Float64Array.of(value))),
    );
  }
  node.setInput(1, c.ints(...(node.ints('pads') ?? [])));
  return drop('pads', 'value')(node, c);
}

function renamePaddings(node: Node) {
  const { attrs } = node;
  node.setAttr('pads', attrs.get('paddings'));
  node.setAttr('paddings', undefined);
  return true;
}

/** The first version could take the sizes from an input, the second could not. */
function splitByAttribute(node: Node) {
  if (!node.input(1)) return false;
  const sizes = numbers(node.input(1));
  if (!sizes) return skip('the sizes it splits into are computed');
  node.setAttr('split', attr.ints(sizes));
  node.dropInputs(1);
  return true;
}

/** Equal parts are to be counted. */
function countParts(node: Node) {
  if (node.input(1)) return false;
  node.setAttr('num_outputs', attr.int(node.outputs.length));
  return true;
}

/** Tiles along one axis become repeats of every axis. */
function repeatEveryAxis(node: Node, c: UpgradeContext) {
  const [data, tiles, along] = node.inputs;
  // Some exporters write the later form under the first version.
  if (!along) return false;
  const [count] = numbers(tiles) ?? [];
  const [axis] = numbers(along) ?? [];
  const rank = data?.shape?.length;
  if (count === undefined || axis === undefined) return skip('its repeats are computed');
  if (rank === undefined) return skip('the rank of its input is not known');
  node.dropInputs(2);
  node.setInput(1, c.ints(...Array.from({ length: rank }, (_, i) => (i === axis ? count : 1))));
  return true;
}

/** A single number moves to an input of one element. */
function countToInput(node: Node, c: UpgradeContext) {
  const k = node.int('k');
  if (k === undefined) return skip('it does not say how many elements to take');
  node.setInput(1, c.ints(k));
  node.setAttr('k', undefined);
  return true;
}

export const layout: Adapters = {
  Concat: { 4: keepDefault('axis', attr.int(1)) },
  Pad: { 2: renamePaddings, 11: padByInputs },
  Reshape: { 5: intsToInput('shape', 1) },
  Scatter: {
    11: (node, c) => c.become(node, 'ScatterElements', node.inputs, Object.fromEntries(node.attrs)),
  },
  Slice: {
    10: inTurn(intsToInput('starts', 1), intsToInput('ends', 2), intsToInput('axes', 3)),
  },
  Split: {
    2: inTurn(splitByAttribute, keepDefault('axis', attr.int(0))),
    13: intsToInput('split', 1),
    18: countParts,
  },
  Squeeze: { 13: intsToInput('axes', 1) },
  Tile: { 6: repeatEveryAxis },
  TopK: { 10: countToInput },
  Unsqueeze: { 13: intsToInput('axes', 1) },
};
