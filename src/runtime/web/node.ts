// onnxruntime-web inside Node, in a process of its own.

import { join } from 'node:path';
import { askChild } from '../child-tasks.ts';
import type { WebChildAnswer } from './child.ts';
import type { WebPackage } from './packages.ts';
import type { Carrier } from './runner.ts';

export function nodeCarrier(found: WebPackage): Carrier {
  const runtime = join(found.dist, 'ort.node.min.mjs');
  return {
    async carryOut(task, feeds, timeoutMs) {
      const ask = { runtime, task, feeds };
      const answer: WebChildAnswer = await askChild<WebChildAnswer>('web/child', ask, timeoutMs);
      const { answers = [], outputs = [], failure } = answer;
      return { answers, outputs, ...(failure ? { problem: failure } : {}) };
    },
    close: () => Promise.resolve(),
  };
}
