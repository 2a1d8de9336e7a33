// Every runnable model beside the checkout, quantised dynamically, loads and computes nearly the same;
// with everything that may be asked for it loads and runs.

import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { checkSamples } from '../../../src/cli/check-samples.ts';
import { allGraphs, type Model } from '../../../src/graph/index.ts';
import { readModel } from '../../../src/onnx/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import { isFloat } from '../../../src/tensor/dtype.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { sharedPath } from '../../helpers/shared.ts';
import { cosine, quantized, runHere } from './dynamic-helper.ts';

interface Row {
  readonly name: string;
  readonly ort: { readonly runs: boolean | null; readonly run_ms: number | null };
}

/** A run of these takes long; they are part of the benchmark. */
const SLOW_MS = 100;
/** Larger ones are quantised with the default settings only. */
const EAGER_BYTES = 1e6;

/** It cannot run on random inputs. */
const NEEDS_DATA = new Set(['mnist_generator.onnx']);

function names(): string[] {
  const manifest = sharedPath('models', 'MANIFEST.json');
  if (!manifest) return [];
  const rows = JSON.parse(readFileSync(manifest, 'utf8')) as Row[];
  return rows
    .filter(({ name, ort }) => ort.runs && (ort.run_ms ?? 0) < SLOW_MS && !NEEDS_DATA.has(name))
    .map(({ name }) => name);
}

const INTEGERS = /^(MatMulInteger|ConvInteger|DynamicQuantize|QAttention)/;

/** Nodes that work on integers. */
const integerNodes = (model: Model) =>
  [...allGraphs(model)].flatMap((graph) => [...graph.nodes]).filter(({ op }) => INTEGERS.test(op));

/** The least similar of the float outputs. */
function leastSimilar(expected: Feeds, actual: Feeds): number {
  let least = 1;
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    expect(other?.shape).toEqual(tensor.shape);
    if (!other || !isFloat(tensor.dtype)) continue;
    const found = cosine(elementsOf(tensor) as Float32Array, elementsOf(other) as Float32Array);
    least = Math.min(least, found);
  }
  return least;
}

describe('real models', () => {
  const all = names();
  it.each(all.length > 0 ? all : ['(none here)'])('%s', async (name) => {
    const path = all.length > 0 ? sharedPath('models', name) : undefined;
    if (!path) return;
    const float = readModel(path);
    inferTypes(float);
    const [sample] = checkSamples(float, 7);
    if (!sample) throw new Error('no sample');
    const expected = await runHere(float, sample);
    const before = integerNodes(float).length;

    const { model, decided } = await quantized(float);
    expect(leastSimilar(expected, await runHere(model, sample))).toBeGreaterThan(0.999);
    const count = decided.filter(([, precision]) => precision === 'int8').length;
    if (count === 0) expect(integerNodes(model)).toHaveLength(before);
    for (const [, precision, reason] of decided) {
      if (precision === 'float') expect(reason).toBeTruthy();
    }

    if (statSync(path).size > EAGER_BYTES) return;
    const eagerly = { weights: 'uint8', perChannel: false, format: 'fused' } as const;
    const eager = await quantized(float, { ...eagerly, convolutions: true, products: true });
    expect(Number.isFinite(leastSimilar(expected, await runHere(eager.model, sample)))).toBe(true);
    expect(eager.decided.length).toBe(decided.length);
  });
});
