import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { readModel, writeModel } from '../../../src/onnx/index.ts';
import { packageRoot } from '../../../src/runtime/location.ts';
import { openSession } from '../../../src/runtime/session.ts';
import { webRuntimes } from '../../../src/runtime/web/index.ts';
import { WEB_RUNNERS } from '../../../src/runtime/web/runner.ts';
import { measureOnTarget } from '../../../src/runtime/web/target.ts';
import { compareTensors } from '../../../src/tensor/compare.ts';
import type { DType } from '../../../src/tensor/dtype.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
const web = await webRuntimes();
for (const { name, reason, hint } of web.unavailable) {
  console.log(`skipped: ${name}: ${reason}. ${hint}`);
}
afterAll(async () => {
  await web.close();
  rmSync(folder, { recursive: true });
});

const TRANSFORMER = join('fixtures', 'digits-transformer.onnx');
const image = Tensor.of(
  'float32',
  [2, 1, 8, 8],
  Array.from({ length: 128 }, (_, i) => (i % 17) / 16),
);

async function written(name: string, text: string, externalData = false): Promise<string> {
  const path = join(folder, name);
  await writeModel(parseModel(text), path, { externalData });
  return path;
}

it('finds onnxruntime-web, which the project installs for its tests', () => {
  expect(web.runners.map(({ name }) => name)).toContain('wasm (node)');
  expect(web.runners.length + web.unavailable.length).toBe(WEB_RUNNERS.length);
});

describe.each(web.runners)('$name', (runner) => {
  // In software it takes its time for every shader.
  const isSlow = runner.software !== undefined;
  if (isSlow) console.log(`skipped: a transformer on ${runner.name}: ${runner.software}`);

  (isSlow ? it.skip : it)(
    'computes what onnxruntime-node computes, and says how long it took',
    async () => {
      const session = await openSession(TRANSFORMER);
      const [input] = session.inputs;
      const feeds = new Map([[input?.name ?? '', image]]);
      const expected = await session.run(feeds);
      await session.dispose();
      const result = await runner.run(TRANSFORMER, feeds, { runs: 3 });
      expect([...result.outputs.keys()]).toEqual([...expected.keys()]);
      for (const [name, tensor] of expected) {
        const actual = result.outputs.get(name);
        if (!actual) throw new Error(`no output ${name}`);
        const { equal, maxAbs } = compareTensors(tensor, actual, { rtol: 1e-3, atol: 1e-4 });
        expect({ name, equal, maxAbs }).toMatchObject({ name, equal: true });
      }
      expect(result.samples).toHaveLength(3);
      expect(result.loadMs).toBeGreaterThan(0);
      expect([...result.samples].sort((a, b) => a - b)[1]).toBe(result.medianMs);
    },
  );

  it('carries float16, int64, bool, int32 and uint8 in and out', async () => {
    const path = await written(
      'types.onnx',
      `types (float16[2] h, int64[2] l, bool[3] b, int32[1] i, uint8[5] u)
         => (float16[2] h2, int64[2] l2, bool[3] b2, int32[1] i2, uint8[5] u2) {
         h2 = Identity(h)
         l2 = Add(l, l)
         b2 = Not(b)
         i2 = Identity(i)
         u2 = Identity(u)
       }`,
    );
    const feeds = new Map<string, Tensor>([
      ['h', Tensor.fromBytes('float16', [2], new Uint8Array([0x00, 0x3c, 0x00, 0xc0]))],
      ['l', Tensor.of('int64', [2], new BigInt64Array([2n ** 60n, -3n]))],
      ['b', Tensor.of('bool', [3], [1, 0, 1])],
      ['i', Tensor.of('int32', [1], [-7])],
      ['u', Tensor.of('uint8', [5], [0, 1, 2, 254, 255])],
    ]);
    const { outputs } = await runner.run(path, feeds, { runs: 1 });
    const shown = (name: string): [DType | undefined, unknown] => {
      const tensor = outputs.get(name);
      return [tensor?.dtype, tensor && [...tensor.values()]];
    };
    expect(shown('h2')).toEqual(['float16', [0x3c00, 0xc000]]);
    expect(shown('l2')).toEqual(['int64', [2n ** 61n, -6n]]);
    expect(shown('b2')).toEqual(['bool', [0, 1, 0]]);
    expect(shown('i2')).toEqual(['int32', [-7]]);
    expect(shown('u2')).toEqual(['uint8', [0, 1, 2, 254, 255]]);
  });

  it('finds external data beside the model, says what it refuses, and goes on', async () => {
    const bad = await written(
      'bad.onnx',
      `<opset_import: ["": 17, "com.microsoft": 1]> bad (float[2] x) => (float[2] y) {
         y = com.microsoft.Nowhere(x)
       }`,
    );
    const good = await written(
      'outside.onnx',
      `outside (float[2, 3] x) => (float[2, 1000] y) <float[3, 1000] w = random> {
         y = MatMul(x, w)
       }`,
      true,
    );
    expect(statSync(good).size).toBeLessThan(1000);
    const weight = [...readModel(good).graph.initializers][0]?.data?.numbers() ?? [];
    const pair = new Map([['x', Tensor.of('float32', [2], [1, -2])]]);
    const feeds = new Map([['x', Tensor.of('float32', [2, 3], [1, 0, 0, 0, 1, 1])]]);
    const [refused, fine] = await runner.runInTurn(
      [
        { path: bad, feeds: pair },
        { path: good, feeds },
      ],
      { runs: 2 },
    );
    if (!(refused instanceof Error) || !fine || fine instanceof Error) throw new Error('order');
    expect(refused.message).toMatch(/^onnxruntime-web, .* cannot load the model: .*Nowhere/);
    const row = (i: number) => weight.slice(1000 * i, 1000 * (i + 1));
    expect(fine.outputs.get('y')?.numbers().slice(0, 1000)).toEqual(row(0));
    expect(fine.samples).toHaveLength(2);
  });

  it('gives up when the time is over', async () => {
    const path = await written('slow.onnx', 'slow (float[2] x) => (float[2] y) { y = Neg(x) }');
    const feeds = new Map([['x', Tensor.of('float32', [2], [1, -2])]]);
    await expect(runner.run(path, feeds, { timeoutMs: 1 })).rejects.toThrow(/stopped before/);
  });
});

describe('measureOnTarget', () => {
  it('runs the files in turn on a web target', async () => {
    const files = [
      await written('one.onnx', 'one (float[2] x) => (float[2] y) { y = Neg(x) }'),
      await written('two.onnx', 'two (float[2] x) => (float[2] y) { y = Abs(x) }'),
    ];
    const feeds = new Map([['x', Tensor.of('float32', [2], [1, -2])]]);
    const measured = await measureOnTarget('web-wasm', files, feeds, { runs: 4 });
    if ('reason' in measured) throw new Error(measured.reason);
    const shown = measured.results.map((result) =>
      result instanceof Error
        ? result.message
        : [result.outputs.get('y')?.numbers(), result.samples.length],
    );
    expect(shown).toEqual([
      [[-1, 2], 4],
      [[1, 2], 4],
    ]);
  });

  it('says what is lacking', async () => {
    const options = { folders: [folder] };
    const measured = await measureOnTarget('web-webgpu', [TRANSFORMER], new Map(), options);
    expect(measured).toMatchObject({ reason: expect.stringContaining('onnxruntime-web') });
  });
});

describe('what is not installed', () => {
  it('is named with the way to install it', async () => {
    const none = await webRuntimes({ folders: [folder] });
    expect(none.runners).toEqual([]);
    expect(none.unavailable.map(({ name }) => name)).toEqual([...WEB_RUNNERS]);
    expect(none.unavailable[0]?.hint).toContain('npm install --save-dev onnxruntime-web');
  });

  it('leaves Node alone when there is no browser', async () => {
    const browser = join(folder, 'no-browser');
    const partly = await webRuntimes({ folders: [folder, packageRoot()], browser });
    expect(partly.runners.map(({ name }) => name)).toEqual(['wasm (node)']);
    expect(partly.unavailable.map(({ reason }) => reason)).toEqual([
      'no browser was found',
      'no browser was found',
    ]);
    await partly.close();
  });
});
