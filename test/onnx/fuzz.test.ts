// Damaged files: whatever is changed in a model, it is read or refused with an XformError, and what
// was read can be looked at and written. XFORM_FUZZ_RUNS sets the number of cases.

import { readFileSync, statSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { XformError } from '../../src/errors/error.ts';
import { type Attr, allGraphs, checkModel, type Model, printType } from '../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../src/onnx/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { realModels } from './corpus.ts';
import { EVERYTHING, encode } from './everything.ts';

const RUNS = Number(process.env['XFORM_FUZZ_RUNS'] ?? 1500);
const MAX_FILE_BYTES = 60_000;

const originals: readonly Uint8Array[] = [
  encode(EVERYTHING),
  ...realModels()
    .filter((path) => statSync(path).size <= MAX_FILE_BYTES)
    .map((path) => readFileSync(path)),
];

/** One way to damage a file; `at` and `length` are fractions of it. */
interface Damage {
  readonly kind: 'flip' | 'set' | 'cut' | 'remove' | 'repeat' | 'fill' | 'swell';
  readonly at: number;
  readonly length: number;
  readonly byte: number;
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom(
    'flip',
    'flip',
    'flip',
    'set',
    'set',
    'cut',
    'remove',
    'repeat',
    'fill',
    'swell',
  ),
  // Structure stands at the ends, weights in the middle.
  at: fc.oneof(
    fraction,
    fraction.map((x) => x * x * x),
    fraction.map((x) => 1 - x * x * x * 0.999),
  ),
  length: fraction.map((x) => x ** 4),
  byte: fc.integer({ min: 0, max: 255 }),
});

function damaged(bytes: Buffer, { kind, at, length, byte }: Damage): Buffer {
  const start = Math.min(Math.floor(at * bytes.length), bytes.length - 1);
  if (start < 0) return bytes;
  const end = Math.min(bytes.length, start + 1 + Math.floor(length * bytes.length));
  const [head, part, tail] = [
    bytes.subarray(0, start),
    bytes.subarray(start, end),
    bytes.subarray(end),
  ];
  const old = bytes[start] as number;
  switch (kind) {
    case 'flip':
      return Buffer.concat([head, Buffer.of(old ^ (1 << (byte % 8))), bytes.subarray(start + 1)]);
    case 'set':
      return Buffer.concat([head, Buffer.of(byte), bytes.subarray(start + 1)]);
    case 'cut':
      return head;
    case 'remove':
      return Buffer.concat([head, tail]);
    case 'repeat':
      return Buffer.concat([head, part, part, tail]);
    case 'fill':
      return Buffer.concat([head, Buffer.alloc(part.length, byte), tail]);
    case 'swell':
      // A varint that goes on: lengths and numbers of up to 64 bits.
      return Buffer.concat([head, Buffer.alloc(1 + (byte % 9), 0xff), bytes.subarray(start)]);
  }
}

/** Looks at everything there is. */
function lookAt(model: Model): void {
  checkModel(model);
  for (const graph of allGraphs(model)) {
    for (const value of [...graph.inputs, ...graph.outputs, ...graph.declared]) {
      printType(value.type);
    }
    for (const value of graph.initializers) if (value.data) readAll(value.data);
    for (const node of graph.nodes) for (const attr of node.attrs.values()) lookAtAttr(attr);
  }
}

function lookAtAttr(attr: Attr): void {
  if (attr.type === 'tensor') readAll(attr.value);
  else if (attr.type === 'tensors') attr.value.forEach(readAll);
  else expect('value' in attr).toBe(true);
}

/** A byte of a varint becomes eight at most: no length in the file can make a tensor larger. */
function readAll(tensor: Tensor): void {
  if ('strings' in tensor.source) {
    expect(tensor.source.strings.length).toBeLessThanOrEqual(MAX_FILE_BYTES * 2);
    return;
  }
  expect(tensor.byteLength).toBeLessThanOrEqual(MAX_FILE_BYTES * 2 * 8);
  tensor.bytes();
}

async function survives(bytes: Uint8Array): Promise<'read' | 'refused'> {
  try {
    const model = decodeModel(bytes, { path: 'damaged.onnx' });
    const written = await encodeModel(model);
    const again = await encodeModel(decodeModel(written, { path: 'written.onnx' }));
    expect(Buffer.compare(again, written)).toBe(0);
    lookAt(model);
    return 'read';
  } catch (error) {
    if (!(error instanceof XformError)) throw error;
    expect(error.kind).toBe('model');
    expect(error.message).toMatch(/^[^\n]+[^.\n]$/);
    return 'refused';
  }
}

it(`survives ${RUNS} damaged files`, async () => {
  const seen = { read: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: originals.length - 1 }),
      fc.array(damage, { minLength: 1, maxLength: 3 }),
      async (index, damages) => {
        const bytes = damages.reduce(damaged, Buffer.from(originals[index] as Uint8Array));
        seen[await survives(bytes)] += 1;
      },
    ),
    { seed: 7, numRuns: RUNS, interruptAfterTimeLimit: undefined },
  );
  process.stdout.write(
    `${originals.length} models damaged: ${seen.read} read, ${seen.refused} refused\n`,
  );
  expect(seen.read).toBeGreaterThan(RUNS / 100);
  expect(seen.refused).toBeGreaterThan(RUNS / 10);
});

it('survives a file cut off at every byte', async () => {
  const bytes = encode(EVERYTHING);
  for (let length = 0; length < bytes.length; length++) await survives(bytes.subarray(0, length));
});

it('survives any byte in any place', async () => {
  const bytes = encode(EVERYTHING);
  for (let at = 0; at < bytes.length; at++) {
    for (const byte of [0x00, 0x7f, 0x80, 0xff]) {
      const copy = Uint8Array.from(bytes);
      copy[at] = byte;
      await survives(copy);
    }
  }
});
