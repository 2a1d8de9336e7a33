// Upsample became Resize, which came to say how it maps coordinates and rounds them. What the
// versions before did is onnxruntime's: asymmetric coordinates, the nearest pixel below when growing
// and above when shrinking.

import { attr, type Node } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { numbers } from '../match.ts';
import { skip } from '../pass.ts';
import type { Adapters, UpgradeContext } from './adapter.ts';
import { inTurn, keepDefault, renameWords, toInt } from './attributes.ts';

/** The opset from which on inputs of Resize may be left out. */
const OPTIONAL_INPUTS = 13;

function scalesOfBothAxes(node: Node) {
  const [height, width] = [node.float('height_scale'), node.float('width_scale')];
  if (height === undefined || width === undefined) return skip('it has no scales');
  node.setAttr('scales', attr.floats([1, 1, height, width]));
  node.setAttr('height_scale', undefined);
  node.setAttr('width_scale', undefined);
  return true;
}

const linearWord = renameWords('mode', { bilinear: 'linear' });

function scalesToInput(node: Node, c: UpgradeContext) {
  const scales = node.floats('scales');
  if (!scales) return skip('it has no scales');
  node.setInput(1, c.floats('float32', [scales.length], scales));
  node.setAttr('scales', undefined);
  return true;
}

function toResize(node: Node, c: UpgradeContext) {
  // It only grows, so the pixel below is the nearest, whatever the scales.
  const nearest = c.target > 10 && node.string('mode', 'nearest') === 'nearest';
  return c.become(node, 'Resize', node.inputs, {
    mode: node.string('mode', 'nearest'),
    nearest_mode: nearest ? 'floor' : undefined,
  });
}

function sayCoordinates(node: Node, c: UpgradeContext) {
  if (node.string('mode', 'nearest') === 'nearest' && !node.attrs.has('nearest_mode')) {
    const scales = numbers(node.input(1));
    if (!scales) return skip('its scales are computed, so it may grow or shrink');
    const grows = scales.some((scale) => scale > 1);
    if (grows && scales.some((scale) => scale < 1)) {
      return skip('it grows along one axis and shrinks along another');
    }
    const shrinks = scales.some((scale) => scale < 1);
    node.setAttr('nearest_mode', attr.string(shrinks ? 'ceil' : 'floor'));
  }
  node.setAttr('coordinate_transformation_mode', attr.string('asymmetric'));
  node.setInput(2, node.input(1));
  node.setInput(1, c.target < OPTIONAL_INPUTS ? c.floats('float32', [0], []) : undefined);
  return true;
}

/** Inputs without elements are left out; a mode that the new version has no word for is reworded. */
function leaveOutInputs(node: Node) {
  let changed = false;
  for (const index of [1, 2]) {
    const value = node.input(index);
    if (!value || constantData(value)?.size !== 0) continue;
    node.setInput(index, undefined);
    changed = true;
  }
  if (node.string('coordinate_transformation_mode') !== 'tf_half_pixel_for_nn') return changed;
  // floor((x + 0.5) / scale) is (x + 0.5) / scale - 0.5, half rounded up.
  if (node.string('mode', 'nearest') !== 'nearest' || node.string('nearest_mode') !== 'floor') {
    return skip('its coordinates are tf_half_pixel_for_nn, which opset 13 has no word for');
  }
  node.setAttr('coordinate_transformation_mode', attr.string('half_pixel'));
  node.setAttr('nearest_mode', attr.string('round_prefer_ceil'));
  return true;
}

export const resize: Adapters = {
  Upsample: { 7: inTurn(linearWord, scalesOfBothAxes), 9: scalesToInput, 10: toResize },
  Resize: { 11: sayCoordinates, 13: leaveOutInputs },
  GridSample: { 20: renameWords('mode', { bilinear: 'linear', bicubic: 'cubic' }) },
  RoiAlign: {
    16: keepDefault('coordinate_transformation_mode', attr.string('output_half_pixel')),
  },
  GlobalLpPool: { 2: toInt('p') },
  LpPool: { 2: toInt('p') },
};
