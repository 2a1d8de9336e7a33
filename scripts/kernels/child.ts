// Tries kernels, in a process of its own: some end it. Says what happens on standard error, between the
// lines that onnxruntime logs there, so that both come in order:
//
//   child.mjs node|web|page PROVIDER NAMES.json      →  @@start KERNEL … @@done {"failure"?, "values"?}

import { readFileSync, writeSync } from 'node:fs';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { encodeModel } from '../../src/onnx/index.ts';
import { cleanMessage } from '../../src/runtime/clean-message.ts';
import { ask, openPage } from './page.ts';
import type { Trial } from './sketch.ts';
import { TRIALS } from './trials.ts';

interface Runtime {
  readonly InferenceSession: typeof InferenceSession;
  readonly Tensor: typeof OrtTensor;
  readonly env: { logLevel?: string; wasm?: { numThreads?: number } };
}

const [kind = '', provider = '', list = ''] = process.argv.slice(2);
const say = (line: string) => writeSync(2, `${line}\n`);

async function load(): Promise<Runtime> {
  if (kind === 'node') return (await import('onnxruntime-node')).default as unknown as Runtime;
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    console[method] = (...words: unknown[]) => say(words.join(' '));
  }
  const name = 'onnxruntime-web';
  const ort = (await import(name)) as Runtime;
  ort.env.logLevel = 'verbose';
  if (ort.env.wasm) ort.env.wasm.numThreads = 1;
  return ort;
}

async function attempt(ort: Runtime, { model, feeds }: Trial): Promise<number[]> {
  const session = await ort.InferenceSession.create(await encodeModel(model), {
    executionProviders: [provider],
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 0,
    logVerbosityLevel: 1,
  });
  const given = feeds.map((tensor, i): [string, OrtTensor] => {
    const values = tensor.values();
    const own = tensor.dtype === 'bool' ? Uint8Array.from(values as Uint8Array) : values;
    return [
      `x${i + 1}`,
      new ort.Tensor(tensor.dtype as 'float32', own as Float32Array, tensor.shape),
    ];
  });
  const results = await session.run(Object.fromEntries(given));
  const [first] = Object.values(results);
  return Array.from((first?.data ?? []) as Float32Array, Number);
}

type Attempt = (trial: Trial) => Promise<number[]>;

async function attempts(): Promise<Attempt> {
  if (kind !== 'page') {
    const ort = await load();
    return (trial) => attempt(ort, trial);
  }
  const page = await openPage();
  return async ({ model, feeds }) => {
    const { lines, values = [], failure, doing } = await ask(page, await encodeModel(model), feeds);
    for (const line of lines) say(line);
    if (failure !== undefined)
      throw new Error(doing === 'run' ? `does not run: ${failure}` : failure);
    return [...values];
  };
}

const tryOne = await attempts();
const wanted = new Set<string>(JSON.parse(readFileSync(list, 'utf8')));
for (const trial of TRIALS) {
  if (!wanted.has(trial.kernel)) continue;
  say(`@@start ${trial.kernel}`);
  try {
    say(`@@done ${JSON.stringify({ values: await tryOne(trial) })}`);
  } catch (error) {
    const message = error instanceof Error ? error.message : `it stopped with ${String(error)}`;
    say(`@@done ${JSON.stringify({ failure: cleanMessage(message).message })}`);
  }
}
process.exit(0);
