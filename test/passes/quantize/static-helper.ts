// What tests of static quantisation share: models from text, quantised over seeded feeds, and the
// kernels that onnxruntime runs for them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { Model, Value } from '../../../src/graph/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import type { Calibration } from '../../../src/passes/quantize/context.ts';
import { quantizeStatic, type StaticOptions } from '../../../src/passes/quantize/static.ts';
import { readTrace } from '../../../src/runtime/profile.ts';
import { createRunner, loadModel } from '../../../src/runtime/runner.ts';
import { elementCount } from '../../../src/tensor/dtype.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { CPU } from './dynamic-helper.ts';
import { calibrationOn } from './improve/fixture.ts';
import { type ContextParts, contextOf, nodesOf, normals } from './weights-helper.ts';

export const run = createRunner();

export const U8S8: StaticOptions = {
  activations: 'uint8',
  weights: 'int8',
  perChannel: true,
  symmetricActivations: false,
  reduceRange: false,
  format: 'qdq',
};

/** Normal numbers for every float input; symbolic sizes are 1. */
export function feedsFor(model: Model, count = 4): Feeds[] {
  return Array.from({ length: count }, (_, i) => {
    const inputs = model.graph.inputs.filter(({ data }) => !data);
    return new Map(
      inputs.map(({ name, shape }, at) => {
        const dims = (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
        const values = normals(elementCount(dims), 1 + i * 7 + at);
        return [name, Tensor.of('float32', dims, values)];
      }),
    );
  });
}

export interface Parts extends ContextParts {
  readonly feeds?: readonly Feeds[];
  readonly calibration?: Calibration;
}

export interface Result {
  readonly float: Model;
  readonly model: Model;
  readonly feeds: readonly Feeds[];
  /** What was decided, by the names of the nodes. */
  readonly decided: Readonly<Record<string, string>>;
}

export async function quantized(
  from: string | Model,
  options: Partial<StaticOptions> = {},
  parts: Parts = {},
): Promise<Result> {
  const float = typeof from === 'string' ? parseModel(from) : from;
  inferTypes(float);
  const model = float.clone();
  const feeds = parts.feeds ?? feedsFor(float);
  const calibration = parts.calibration ?? calibrationOn(feeds);
  const { context, decided } = contextOf(run, { has: CPU.has, ...parts, calibration });
  await quantizeStatic(model, { ...U8S8, ...options }, context);
  const lines = decided.map(([name, precision, reason]) => [
    name,
    reason === undefined ? precision : `${precision}: ${reason}`,
  ]);
  return { float, model, feeds, decided: Object.fromEntries(lines) };
}

/** The operators that onnxruntime runs, fully optimised, in their order. */
export async function kernelsOf(model: Model, feeds: Feeds): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'xform-static-'));
  try {
    const profilePrefix = join(folder, 'trace');
    const loaded = await loadModel(model, { optimization: 'all', threads: 1, profilePrefix });
    await loaded.run(feeds);
    await loaded.dispose();
    const { nodes } = readTrace(profilePrefix, 0);
    return nodes.map(({ op }) => op).sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Cosine similarity of the first output over all feeds. */
export async function similarity({ float, model, feeds }: Result): Promise<number> {
  const sums = { xy: 0, xx: 0, yy: 0 };
  for (const set of feeds) {
    const [expected] = (await run(float, set)).values();
    const [found] = (await run(model, set)).values();
    const [x, y] = [expected?.values(), found?.values()] as [Float32Array, Float32Array];
    x.forEach((value, i) => {
      const other = y[i] ?? Number.NaN;
      sums.xy += value * other;
      sums.xx += value * value;
      sums.yy += other * other;
    });
  }
  return sums.xy / Math.sqrt(sums.xx * sums.yy);
}

export const GEMM = `g (float[3, 16] x) => (float[3, 8] y) <
  float[8, 16] w = random,
  float[8] b = random
> {
  [fc] y = Gemm <transB=1> (x, w, b)
}`;

export async function numbers(value: Value | undefined): Promise<number[]> {
  const data = value?.data as Tensor;
  const loaded = Tensor.fromBytes(data.dtype, data.shape, await data.load());
  return Array.from(elementsOf(loaded) as Float32Array, Number);
}

/** Codes, scale and zero point behind input `index` of the only node of this operator. */
export async function operand(model: Model, op: string, index: number) {
  const dq = nodesOf(model, op)[0]?.inputs[index]?.producer;
  expect(dq?.op).toBe('DequantizeLinear');
  const [codes, scale, zeroPoint] = dq?.inputs ?? [];
  const isConstant = codes?.data !== undefined;
  return {
    type: codes?.dtype,
    codes: isConstant ? await numbers(codes) : [],
    scale: await numbers(scale),
    zeroPoint: await numbers(zeroPoint),
  };
}
