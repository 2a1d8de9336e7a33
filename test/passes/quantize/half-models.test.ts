// Small real models beside the checkout, in half precision: what half kernels compute is what the float
// model does.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { checkSamples } from '../../../src/cli/check-samples.ts';
import { readModel } from '../../../src/onnx/index.ts';
import { passes } from '../../../src/passes/index.ts';
import { runPasses } from '../../../src/passes/run.ts';
import { halve, runHere } from '../../helpers/halving.ts';
import { sharedPath } from '../../helpers/shared.ts';

interface Row {
  readonly name: string;
  readonly bytes: number;
  readonly ort: { readonly runs: boolean | null; readonly run_ms: number | null };
}

/** The others are part of the benchmark. */
const FAST_MS = 12;
const SMALL = 6e6;

/** Made of random weights so large that values leave the range of half: they need calibration data. */
const OUT_OF_RANGE = ['light_squeezenet.onnx', 'light_resnet50.onnx'];
/** Of signs alone: what is next to zero falls to the other side. */
const SIGNS = ['traffic_signs_qconv48.onnx'];

function rows(): Row[] {
  const manifest = sharedPath('models', 'MANIFEST.json');
  if (!manifest) return [];
  const all = JSON.parse(readFileSync(manifest, 'utf8')) as Row[];
  return all.filter(({ name, bytes, ort }) => {
    const isSmall = ort.runs && (ort.run_ms ?? 0) < FAST_MS && bytes < SMALL;
    return isSmall && ![...OUT_OF_RANGE, ...SIGNS].includes(name);
  });
}

describe('real models', () => {
  const all = rows();
  it.each(all.length > 0 ? all.map(({ name }) => name) : ['(none here)'])('%s', async (name) => {
    const path = all.length > 0 ? sharedPath('models', name) : undefined;
    if (!path) return;
    const original = readModel(path);
    const chosen = passes.filter((pass) => pass.level === 'basic' && !pass.onDemand);
    const { model } = await runPasses(original, chosen, { run: runHere, level: 'basic' });
    const [sample] = checkSamples(original, 7);
    if (!sample) return;
    const runs = await runHere(original, sample).then(
      () => true,
      () => false,
    );
    // Strings and sequences at the border, and sizes that do not fit each other.
    if (!runs) return;
    const { error } = await halve(model, { feeds: sample, floor: 0.05 });
    // A cosine of 0.999.
    expect(error).toBeLessThan(0.045);
  });
});
