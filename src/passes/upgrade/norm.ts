// Normalisations, Dropout and matrix products: attributes of training, and shapes of scales.

import { attr, type Node, type Value } from '../../graph/index.ts';
import { dtypeCode } from '../../tensor/dtype.ts';
import { skip } from '../pass.ts';
import type { Adapters, UpgradeContext } from './adapter.ts';
import { drop } from './attributes.ts';

/** Outputs beyond the first that somebody reads. */
function readOutputs(node: Node): readonly Value[] {
  const given = node.graph?.outputs ?? [];
  return node.outputs.slice(1).filter((v) => v.uses.length > 0 || given.includes(v));
}

/** Before opset 7 normalisation by the batch's own statistics was the default. */
function onlyInference(node: Node, c: UpgradeContext) {
  if (node.int('is_test', 0) === 0) {
    return skip('it normalises by the statistics of the batch (is_test is not set)');
  }
  return drop('is_test')(node, c);
}

/**
 * Statistics of their own for every place, not only for every channel: by their definition,
 * scale * (x - mean) / sqrt(var + epsilon) + B.
 */
function normalizePlaces(node: Node, c: UpgradeContext) {
  if (node.int('spatial', 1) !== 0) return drop('spatial')(node, c);
  const [x, scale, bias, mean, variance] = node.inputs;
  const dtype = x?.dtype;
  if (!dtype) return skip('the type of its input is not known');
  if (readOutputs(node).length > 0) return skip('its running statistics are read');
  const shifted = c.g.op('Add', [variance, c.float(dtype, node.float('epsilon', 1e-5))]);
  const factor = c.g.op('Div', [scale, c.g.op('Sqrt', [shifted])]);
  const scaled = c.g.op('Mul', [c.g.op('Sub', [x, mean]), factor]);
  return c.replace(node, c.g.op('Add', [scaled, bias]));
}

/** Outputs of training that nobody reads are left out. */
function oneOutput(node: Node, c: UpgradeContext) {
  if (node.outputs.length === 1) return false;
  if (readOutputs(node).length > 0) return skip('its running statistics are read');
  return c.become(node, node.op, node.inputs, Object.fromEntries(node.attrs), 1);
}

/** The mask was of the type of the data and became boolean. */
function maskAsBefore(node: Node, c: UpgradeContext) {
  const mask = node.outputs[1];
  if (!mask) return false;
  if (readOutputs(node).length === 0) {
    // What is declared of it is no longer true.
    mask.type = undefined;
    return false;
  }
  const dtype = node.input(0)?.dtype;
  if (!dtype) return skip('the type of its input is not known');
  const ratio = node.attrs.get('ratio');
  const [y, kept] = c.g.ops('Dropout', [node.input(0)], 2, { ratio });
  if (!y || !kept) return false;
  return c.replace(node, y, c.g.op('Cast', [kept], { to: dtypeCode(dtype) }));
}

/** Without training the ratio says nothing, but it is kept for who trains the model on. */
function ratioToInput(node: Node, c: UpgradeContext) {
  node.setInput(1, c.float('float32', node.float('ratio', 0.5)));
  node.setAttr('ratio', undefined);
  return true;
}

/** Scale and bias of each group become those of each channel. */
function scalePerChannel(node: Node, c: UpgradeContext) {
  const channels = node.input(0)?.shape?.[1];
  const groups = node.int('num_groups', 1);
  if (typeof channels !== 'number') return skip('the number of channels is not known');
  for (const index of [1, 2]) {
    const value = node.input(index);
    if (!value) continue;
    const column = c.g.op('Unsqueeze', [value, c.ints(1)]);
    const rows = c.g.op('Expand', [column, c.ints(groups, channels / groups)]);
    node.setInput(index, c.g.op('Reshape', [rows, c.ints(channels)]));
  }
  return true;
}

/** The experimental form said whether channels are normalised together. */
function axesOfMean(node: Node, c: UpgradeContext) {
  const across = node.int('across_channels');
  if (node.int('normalize_variance', 1) === 0) return skip('it does not divide by the deviation');
  if (across === undefined && node.attrs.has('axes')) return false;
  const rank = node.input(0)?.shape?.length;
  if (rank === undefined) return skip('the rank of its input is not known');
  const first = across ? 1 : 2;
  node.setAttr('axes', attr.ints(Array.from({ length: rank - first }, (_, i) => i + first)));
  drop('across_channels', 'normalize_variance')(node, c);
  return true;
}

export const norm: Adapters = {
  BatchNormalization: { 7: onlyInference, 9: normalizePlaces, 14: oneOutput },
  Dropout: { 7: drop('is_test'), 10: maskAsBefore, 12: ratioToInput },
  Gemm: { 7: drop('broadcast') },
  GroupNormalization: { 21: scalePerChannel },
  MeanVarianceNormalization: { 9: axesOfMean },
};
