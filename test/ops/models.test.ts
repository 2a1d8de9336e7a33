// Inferred shapes against the shapes that onnxruntime sees, value by value, on real models: whatever
// symbolic shape was inferred must give the seen shape for some sizes of the symbols, the same ones
// for all values of the model.

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import { assumeSizes } from '../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { randomFeeds } from '../../src/data/random.ts';
import { type Dim, isUnknown, type Model, substitute } from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { observableValues, observe } from '../../src/runtime/observe.ts';
import { sharedPath } from '../helpers/shared.ts';

interface Entry {
  readonly name: string;
  readonly ort?: { readonly runs: boolean; readonly inputDims?: Record<string, number[]> };
}

const fixtures = readdirSync('fixtures')
  .filter((file) => file.endsWith('.onnx'))
  .map((name) => ({ name, path: `fixtures/${name}`, dims: undefined }));

function sharedModels() {
  const manifest = sharedPath('models', 'MANIFEST.json');
  if (!manifest) return [];
  const entries = JSON.parse(readFileSync(manifest, 'utf8')) as Entry[];
  return entries
    .filter((entry) => entry.name.endsWith('.onnx') && entry.ort?.runs)
    .map(({ name, ort }) => ({
      name,
      path: sharedPath('models', name) ?? '',
      dims: ort?.inputDims,
    }));
}

/** Sizes of the input symbols, from the shapes the model is run with. */
function symbolSizes(model: Model, shapes: ReadonlyMap<string, readonly number[]>) {
  const sizes = new Map<string, Dim>();
  for (const input of model.graph.inputs) {
    input.shape?.forEach((dim, i) => {
      const size = shapes.get(input.name)?.[i];
      if (typeof dim !== 'number' && size !== undefined) sizes.set(dim.key, size);
    });
  }
  return sizes;
}

const seen = { values: 0, whole: 0 };

async function contradictions(path: string, dims: Record<string, number[]> | undefined) {
  const model = readModel(path);
  const problems = inferTypes(model).map((p) => `${p.where}: ${p.message}`);
  const specs = inputSpecs(model);
  const given = new Map(
    specs.flatMap((spec) =>
      (dims?.[spec.name] ?? []).map((size, i) => [`${spec.name}.${i}`, size]),
    ),
  );
  const { inputs } = assumeSizes(specs, { sizes: given });
  const sizes = symbolSizes(model, new Map(inputs.map((input) => [input.name, input.shape])));
  const values = new Map(
    [...model.graph.nodes].flatMap((node) => node.outputs.map((value) => [value.name, value])),
  );
  await observe(model, [randomFeeds(inputs, 0)], observableValues(model), (name, tensor) => {
    const shape = values.get(name)?.shape;
    const dtype = values.get(name)?.dtype;
    seen.values += 1;
    if (shape && !shape.some(isUnknown)) seen.whole += 1;
    if (dtype && dtype !== tensor.dtype) problems.push(`${name}: ${dtype}, seen ${tensor.dtype}`);
    const expected = shape?.map((dim) => substitute(dim, sizes));
    const wrong =
      expected !== undefined &&
      (expected.length !== tensor.shape.length ||
        expected.some((dim, i) => typeof dim === 'number' && dim !== tensor.shape[i]));
    if (wrong)
      problems.push(`${name}: [${expected.join(', ')}], seen [${tensor.shape.join(', ')}]`);
  });
  return problems;
}

describe('inferred shapes are those seen at run time', () => {
  afterAll(() => {
    const share = ((100 * seen.whole) / seen.values).toFixed(1);
    process.stdout.write(
      `${seen.values} values seen, ${share} % of their shapes known before the run\n`,
    );
  });

  for (const { name, path, dims } of [...fixtures, ...sharedModels()]) {
    it(name, async () => {
      expect(await contradictions(path, dims)).toEqual([]);
    });
  }
});
