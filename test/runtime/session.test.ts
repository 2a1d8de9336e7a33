import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { encodeModel } from '../../src/onnx/index.ts';
import { Host } from '../../src/runtime/host.ts';
import { openSession } from '../../src/runtime/session.ts';
import { type DType, dtypeCode } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** y = x x^T, x [n, 64]; `narrow` adds an output of that type. */
async function product(narrow?: DType): Promise<Uint8Array> {
  const graph = new Graph('product');
  const g = new Builder(graph);
  const x = g.input('x', tensorType('float32', [symbol('n'), 64]));
  const y = g.op('MatMul', [x, g.op('Transpose', [x], { perm: [1, 0] })], {}, { name: 'mul' });
  y.type = tensorType('float32', [symbol('n'), symbol('n')]);
  g.output(y, 'y');
  if (narrow) {
    const z = g.op('Cast', [x], { to: dtypeCode(narrow) });
    z.type = tensorType(narrow, [symbol('n'), 64]);
    g.output(z, 'z');
  }
  return new Uint8Array(await encodeModel(new Model(graph, new Map([['', 21]]), 10)));
}

const ones = (n: number) =>
  new Map([['x', Tensor.of('float32', [n, 64], new Float32Array(n * 64).fill(1))]]);

describe('openSession', () => {
  it('describes the model and runs it, from bytes and from a file', async () => {
    const path = join(folder, 'product.onnx');
    writeFileSync(path, await product());
    for (const source of [path, await product()]) {
      const session = await openSession(source);
      expect(session.inputs).toEqual([
        { name: 'x', dtype: 'float32', shape: ['n', 64], crosses: true },
      ]);
      expect(session.outputs[0]).toMatchObject({ name: 'y', dtype: 'float32' });
      const results = await session.run(ones(3));
      expect(results.get('y')?.shape).toEqual([3, 3]);
      expect(results.get('y')?.numbers()).toEqual(new Array(9).fill(64));
      await session.dispose();
    }
  });

  it('leaves the bytes and feeds of the caller alone', async () => {
    const bytes = await product();
    const before = bytes.slice();
    const session = await openSession(bytes);
    const feeds = ones(2);
    await session.run(feeds);
    await session.run(feeds);
    await session.dispose();
    expect(bytes).toEqual(before);
    expect(feeds.get('x')?.numbers()).toHaveLength(128);
  });

  it('takes a buffer over only when it is asked to, and only the model out of a larger one', async () => {
    const bytes = await product();
    const larger = new Uint8Array(bytes.length + 100).fill(7);
    larger.set(bytes, 50);
    const within = larger.subarray(50, 50 + bytes.length);
    await (await openSession(within, { consume: true })).dispose();
    expect(larger.length).toBe(bytes.length + 100);
    await (await openSession(bytes, { consume: true })).dispose();
    expect(bytes.length).toBe(0);
  });

  it.each<DType>(['int4', 'uint4', 'bfloat16', 'float8e4m3fn'])(
    'fetches around %s outputs, and refuses to fetch them',
    async (dtype) => {
      const session = await openSession(await product(dtype));
      expect(session.outputs[1]).toMatchObject({ name: 'z', dtype, crosses: false });
      expect([...(await session.run(ones(1))).keys()]).toEqual(['y']);
      await expect(session.run(ones(1), ['z'])).rejects.toMatchObject({
        kind: 'model',
        code: 'unsupported-type',
        message: expect.stringContaining(`"z" is ${dtype}`),
      });
      await session.dispose();
    },
  );

  it('says what is wrong with feeds', async () => {
    const session = await openSession(await product());
    const wrong: [Map<string, Tensor>, string, string][] = [
      [new Map(), 'missing-input', '"x", which takes float32 [n, 64]'],
      [new Map([...ones(1), ['q', Tensor.scalar('float32', 1)]]), 'unknown-input', '"q"'],
      [new Map([['x', Tensor.of('int32', [1, 64], new Int32Array(64))]]), 'wrong-input', 'int32'],
      [new Map([['x', Tensor.of('float32', [1, 2], [1, 2])]]), 'wrong-input', '[1, 2]'],
    ];
    for (const [feeds, code, text] of wrong) {
      const message = expect.stringContaining(text);
      await expect(session.run(feeds)).rejects.toMatchObject({ kind: 'data', code, message });
    }
    await expect(session.run(ones(1), ['w'])).rejects.toMatchObject({ code: 'unknown-output' });
    await session.dispose();
  });

  it('gives reasons for models that do not load', async () => {
    const failure = { kind: 'model', code: 'runtime' };
    await expect(openSession(new Uint8Array(64).fill(3))).rejects.toMatchObject(failure);
    const truncated = (await product()).slice(0, 80);
    await expect(openSession(truncated, { name: 'cut.onnx' })).rejects.toMatchObject({
      ...failure,
      where: expect.stringContaining('cut.onnx'),
    });
    const missing = join(folder, 'missing.onnx');
    await expect(openSession(missing)).rejects.toMatchObject({ code: 'ENOENT', path: missing });
  });

  it('fixes symbolic dimensions', async () => {
    const session = await openSession(await product(), {
      freeDims: new Map([
        ['n', 2],
        ['other', 1],
      ]),
    });
    expect((await session.run(ones(2))).get('y')?.shape).toEqual([2, 2]);
    await session.dispose();
  });

  it('does not block the thread that waits', async () => {
    const session = await openSession(await product(), { threads: 1 });
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 1);
    await session.run(ones(3000));
    clearInterval(timer);
    await session.dispose();
    expect(ticks).toBeGreaterThan(5);
  });
});

describe('Host', () => {
  it.each([
    ['throws', 'throw new Error("of wrath")', 'of wrath'],
    ['exits', 'process.exit(3)', 'code 3'],
    ['eats all memory', 'const all = []; for (;;) all.push(new Array(1e6).fill({}))', 'memory'],
  ])('fails open questions when its thread %s', async (_how, code, reason) => {
    const entry = join(folder, `dying-${code.length}.mjs`);
    const port = "import { parentPort } from 'node:worker_threads';";
    writeFileSync(entry, `${port} parentPort.on('message', () => { ${code} });`);
    const host = new Host(entry, { maxOldGenerationSizeMb: 32 });
    await expect(host.call('close', { session: 1 })).rejects.toMatchObject({
      kind: 'model',
      code: 'runtime-died',
      message: expect.stringContaining(reason),
    });
    expect(host.isAlive).toBe(false);
    await expect(host.call('close', { session: 1 })).rejects.toMatchObject({
      code: 'runtime-died',
    });
  });
});

it('does not keep a program alive that forgets to dispose', async () => {
  const path = join(folder, 'forgotten.onnx');
  writeFileSync(path, await product());
  const worker = join(process.cwd(), 'dist/runtime/worker.js');
  const program = `
    import { Worker } from 'node:worker_threads';
    const worker = new Worker(${JSON.stringify(worker)}, { execArgv: [] });
    worker.on('message', () => worker.unref());
    worker.postMessage({ id: 1, call: 'open', ask: { source: ${JSON.stringify(path)}, options: {} } });`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
