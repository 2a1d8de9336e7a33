// The tasks that large-model.mjs measures, each run in a process of its own: `node FILE TASK ARGS…`.
// Prints one JSON object: milliseconds, peak memory, and what the task found.

import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Builder, Graph, Model, tensorType } from '../src/graph/index.ts';
import { readModel, writeModel } from '../src/onnx/index.ts';
import { pour } from '../src/onnx/pour.ts';
import { DataFile } from '../src/onnx/storage.ts';
import { FileSink } from '../src/onnx/temporary.ts';
import { layOut } from '../src/onnx/write-model.ts';
import { peakMemory } from '../src/runtime/memory.ts';
import { Random } from '../src/tensor/random.ts';
import { Tensor } from '../src/tensor/tensor.ts';

/** Bytes that look random, made a block at a time. */
class Noise {
  readonly byteLength: number;
  readonly #seed: number;
  #block: Uint8Array | undefined;

  constructor(byteLength: number, seed: number) {
    this.byteLength = byteLength;
    this.#seed = seed;
  }

  #fill(): Uint8Array {
    const random = new Random(this.#seed, 'noise');
    // Small exponents: finite numbers, whatever reads them.
    const words = Uint32Array.from({ length: 1 << 16 }, () => random.bits() & 0x3fffffff);
    return new Uint8Array(words.buffer);
  }

  read(offset: number, length: number): Uint8Array {
    this.#block ??= this.#fill();
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const start = (offset + at) % this.#block.length;
      const part = this.#block.subarray(start, start + Math.min(length - at, this.#block.length));
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

/** A chain of matrix products with `count` square weights of together `bytes`. */
function chain(bytes: number, count: number): Model {
  const graph = new Graph('chain');
  const g = new Builder(graph);
  const size = Math.floor(Math.sqrt(bytes / count / 4));
  let x = g.input('x', tensorType('float32', [1, size]));
  for (let i = 0; i < count; i++) {
    const source = new Noise(size * size * 4, i);
    const weight = g.constant(`w${i}`, new Tensor('float32', [size, size], source));
    x = g.op('MatMul', [x, weight], {}, { name: `layer${i}` });
  }
  g.output(x, 'y');
  return new Model(graph, new Map([['', 20]]), 10);
}

const TASKS: Readonly<Record<string, (...args: string[]) => Promise<unknown>>> = {
  /** A model whose data file has a size, but takes no space. */
  async sparse(path, bytes, count) {
    const data = new DataFile(`${path.split('/').at(-1)}.data`);
    const message = layOut(chain(Number(bytes), Number(count)), data);
    const file = await open(path, 'w');
    await pour(message, new FileSink(file.fd));
    await file.close();
    const fd = openSync(`${path}.data`, 'w');
    ftruncateSync(fd, data.size);
    closeSync(fd);
    return { bytes: data.size };
  },
  async make(path, bytes, count, external) {
    const model = chain(Number(bytes), Number(count));
    return await writeModel(model, path, { externalData: external === 'external' });
  },
  async read(path) {
    const { graph } = readModel(path);
    return { nodes: graph.nodeCount, initializers: graph.initializers.size };
  },
  async rewrite(path, out, external) {
    return await writeModel(readModel(path), out, { externalData: external === 'external' });
  },
};

const [task = '', ...args] = process.argv.slice(2);
const start = performance.now();
const found = await TASKS[task]?.(...args);
const ms = performance.now() - start;
const peak = peakMemory();
process.stdout.write(JSON.stringify({ ms, peak, found }));
