// The server behind the page: on the loopback interface, a free port, and only what a task names. Each
// task has an unguessable path of its own, so that no other program of the machine reads a model here.
// The headers isolate the page, which gives it threads and precise clocks.

import { randomUUID } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { WireFeeds } from '../protocol.ts';
import { packTensors, unpackTensors, type WebTask } from './task.ts';

const PAGE = '<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>';

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cache-Control': 'no-store',
};

export interface ServedTask {
  /** Path of the task on the server. */
  readonly base: string;
  /** What the page has sent back, model by model. */
  readonly outputs: WireFeeds[];
  remove(): void;
}

export class LoopbackServer {
  readonly #server: Server;
  readonly #files = new Map<string, string>();
  readonly #bodies = new Map<string, string | Uint8Array>();
  readonly #receivers = new Map<string, (body: Buffer) => void>();

  constructor(page: string) {
    this.#bodies.set('/', PAGE);
    this.#files.set('/page.js', page);
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    this.#server.unref();
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Files of the runtime's own folder, under /ort/. */
  serveRuntime(dist: string, names: readonly string[]): void {
    for (const name of names) this.#files.set(`/ort/${name}`, join(dist, name));
  }

  serveTask(task: WebTask, feeds: readonly WireFeeds[]): ServedTask {
    const base = `/${randomUUID()}`;
    const outputs: WireFeeds[] = [];
    const models = task.models.map(({ source, externalData }, i) => {
      const url = `${base}/models/${i}`;
      this.#files.set(url, source);
      const data = externalData.map((file, j) => {
        this.#files.set(`${url}/${j}`, file.data);
        return { path: file.path, data: `${url}/${j}` };
      });
      this.#bodies.set(`${base}/feeds/${i}`, packTensors(feeds[i] ?? []));
      this.#receivers.set(`${base}/outputs/${i}`, (body) => {
        outputs[i] = unpackTensors(new Uint8Array(body).buffer);
      });
      return { source: url, externalData: data };
    });
    this.#bodies.set(`${base}/task`, JSON.stringify({ ...task, models }));
    const remove = () => {
      for (const map of [this.#files, this.#bodies, this.#receivers]) {
        for (const key of [...map.keys()]) if (key.startsWith(base)) map.delete(key);
      }
    };
    return { base, outputs, remove };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    try {
      const receive = this.#receivers.get(path);
      if (request.method === 'POST' && receive) {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        receive(Buffer.concat(chunks));
        response.writeHead(204, HEADERS).end();
        return;
      }
      const body = this.#bodies.get(path);
      if (body !== undefined) {
        const type = path === '/' ? 'text/html' : 'application/octet-stream';
        response.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(body);
        return;
      }
      const file = this.#files.get(path);
      if (file === undefined) response.writeHead(404, HEADERS).end();
      else await sendFile(file, response);
    } catch {
      // The page was closed, or the file has gone: whoever asked sees a broken answer.
      response.destroy();
    }
  }
}

async function sendFile(file: string, response: ServerResponse): Promise<void> {
  response.writeHead(200, {
    ...HEADERS,
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Content-Length': statSync(file).size,
  });
  await pipeline(createReadStream(file), response);
}
