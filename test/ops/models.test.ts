// Inferred shapes against the shapes that onnxruntime sees, value by value, on real models: whatever
// symbolic shape was inferred must give the seen shape once the sizes of the inputs are put in, and
// whatever elements are known must be those seen. Once with the sizes a model came with, and where it
// has symbolic ones, with others.

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import { assumeSizes } from '../../src/data/assume-sizes.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { randomFeeds } from '../../src/data/random.ts';
import { XformError } from '../../src/errors/error.ts';
import { type Dim, isUnknown, type Model, substitute, type Value } from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { observableValues, observe } from '../../src/runtime/observe.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
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

const seen = { values: 0, whole: 0, elements: 0 };

type Dims = Record<string, number[]> | undefined;

/** The sizes of the manifest, or for symbolic ones others; equal where they are named the same. */
function givenSizes(model: Model, dims: Dims, areOther: boolean): Map<string, number> {
  const named = new Map<string, number>();
  const given = new Map<string, number>();
  for (const input of model.graph.inputs) {
    dims?.[input.name]?.forEach((size, i) => {
      const dim = input.shape?.[i];
      const isOpen = dim !== undefined && typeof dim !== 'number' && areOther;
      const chosen = isOpen ? (named.get(dim.key) ?? otherSize(size)) : size;
      if (isOpen) named.set(dim.key, chosen);
      given.set(`${input.name}.${i}`, chosen);
    });
  }
  return given;
}

/** Pictures get smaller, batches larger. */
function otherSize(size: number): number {
  return size < 64 ? size + 1 : Math.floor(size / 2);
}

function isSymbolic(model: Model): boolean {
  return model.graph.inputs.some((input) => input.shape?.some((dim) => typeof dim !== 'number'));
}

async function contradictions(model: Model, dims: Dims, areOther = false): Promise<string[]> {
  const wrong: string[] = [];
  const { inputs } = assumeSizes(inputSpecs(model), { sizes: givenSizes(model, dims, areOther) });
  const sizes = symbolSizes(model, new Map(inputs.map((input) => [input.name, input.shape])));
  const values = new Map(
    [...model.graph.nodes].flatMap((node) => node.outputs.map((value) => [value.name, value])),
  );
  await observe(model, [randomFeeds(inputs, 0)], observableValues(model), (name, tensor) => {
    const problem = contradiction(values.get(name), tensor, sizes);
    if (problem) wrong.push(`${name}: ${problem}`);
  });
  return wrong;
}

function contradiction(
  value: Value | undefined,
  tensor: Tensor,
  sizes: ReadonlyMap<string, Dim>,
): string | undefined {
  seen.values += 1;
  const { shape, dtype, known } = value ?? {};
  if (shape && !shape.some(isUnknown)) seen.whole += 1;
  if (dtype && dtype !== tensor.dtype) return `${dtype}, seen ${tensor.dtype}`;
  const told = (dims: readonly Dim[] | undefined) => dims?.map((dim) => substitute(dim, sizes));
  const differs = (dims: readonly Dim[] | undefined, numbers: readonly number[]) =>
    dims !== undefined &&
    (dims.length !== numbers.length ||
      dims.some((dim, i) => typeof dim === 'number' && dim !== numbers[i]));
  const expected = told(shape);
  if (differs(expected, tensor.shape)) return `[${expected}], seen [${tensor.shape}]`;
  const elements = told(known);
  if (elements) seen.elements += elements.length;
  if (elements && differs(elements, tensor.numbers()))
    return `{${elements}}, seen {${tensor.numbers()}}`;
  return undefined;
}

describe('inferred shapes are those seen at run time', () => {
  afterAll(() => {
    const share = ((100 * seen.whole) / seen.values).toFixed(1);
    process.stdout.write(
      `${seen.values} values seen, ${share} % of their shapes known before the run, and ${seen.elements} elements\n`,
    );
  });

  for (const { name, path, dims } of [...fixtures, ...sharedModels()]) {
    it(name, async () => {
      const model = readModel(path);
      expect(inferTypes(model).map((p) => `${p.where}: ${p.message}`)).toEqual([]);
      expect(await contradictions(model, dims)).toEqual([]);
      if (!isSymbolic(model)) return;
      // Not every model runs with the sizes that it says it takes.
      const others = await contradictions(model, dims, true).catch((error: unknown) => {
        expect(error).toBeInstanceOf(XformError);
        return [];
      });
      expect(others).toEqual([]);
    });
  }
});
