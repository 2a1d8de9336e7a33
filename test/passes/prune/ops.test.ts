// The links of every operator: a graph with each is cut, and computes the same as with zeros where sums
// read what is gone. And no operator has links that no graph here shows.

import { describe, expect, it } from '@jest/globals';
import { Graph, Model } from '../../../src/graph/index.ts';
import { allSpecs, inferTypes } from '../../../src/ops/index.ts';
import { cutUnits } from '../../../src/passes/prune/cut.ts';
import { findGroups } from '../../../src/passes/prune/group.ts';
import { Sketch } from '../../helpers/rewriting.ts';
import { differ, expectExact, run } from './exactness.ts';
import { chooseRandomly } from './masked.ts';
import { ELEMENTWISE_CASES, type OpCase } from './op-cases.ts';
import { LAYER_CASES } from './op-cases-layers.ts';
import { MOVING_CASES } from './op-cases-moving.ts';
import { NORM_CASES } from './op-cases-norms.ts';
import { PRODUCT_CASES } from './op-cases-products.ts';
import { QUANTIZED_CASES } from './op-cases-quantized.ts';

const CASES = [
  ...ELEMENTWISE_CASES,
  ...PRODUCT_CASES,
  ...MOVING_CASES,
  ...NORM_CASES,
  ...LAYER_CASES,
  ...QUANTIZED_CASES,
];

/** Without a kernel on this machine, or relatives of those shown whose links are the same function. */
const UNSEEN = new Set([
  'com.microsoft.FusedMatMulActivation',
  'com.microsoft.NhwcConv',
  'com.microsoft.NhwcFusedConv',
  'com.microsoft.BiasAdd',
  'com.microsoft.GroupNorm',
  'com.microsoft.SimplifiedLayerNormalization',
  'com.microsoft.QLinearConv',
  'com.microsoft.QLinearSoftmax',
  'Affine',
  'Crop',
]);

const seen = new Set<string>();

function sketch({ opset = 21, build }: OpCase): { model: Model; s: Sketch } {
  const model = new Model(new Graph('test'), new Map([['', opset]]), opset > 21 ? 11 : 8);
  model.opsets.set('com.microsoft', 1);
  const s = new Sketch(model);
  [build(s)].flat().forEach((output, i) => {
    s.g.output(output as Parameters<typeof s.g.output>[0], `result${i}`);
  });
  inferTypes(model);
  for (const node of model.graph.nodes)
    seen.add(node.domain ? `${node.domain}.${node.op}` : node.op);
  return { model, s };
}

describe('links', () => {
  it.each(CASES.map((row) => [row.name, row] as const))('%s', async (_, row) => {
    const { model, s } = sketch(row);
    const { groups } = findGroups(model);
    expect(groups.map(({ units }) => units).sort((a, b) => a - b)).toEqual(row.units);
    if (groups.length === 0 || row.runs === false) return;
    const original = await run(model, s.feeds);
    if (row.mixed) {
      expect(groups.some(({ exact }) => !exact)).toBe(true);
      cutUnits(model, chooseRandomly(groups, 0.5, { withMixed: true }));
      const after = await run(model, s.feeds);
      for (const [name, { shape }] of original) expect(after.get(name)?.shape).toEqual(shape);
      return;
    }
    expect(groups.every(({ exact }) => exact)).toBe(true);
    const pruned = await expectExact(model, s.feeds, chooseRandomly(groups, 0.5));
    const after = await run(pruned, s.feeds);
    expect(differ(original, after)).toBe(true);
  });

  it('are shown for every operator that has them', () => {
    const missing = allSpecs()
      .filter(({ axes }) => axes)
      .map(({ op, domain }) => (domain ? `${domain}.${op}` : op))
      .filter((name) => !seen.has(name) && !UNSEEN.has(name) && !/brevitas|qonnx/.test(name));
    expect(missing).toEqual([]);
  });
});
