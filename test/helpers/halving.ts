// Takes a text model to half precision and runs both in onnxruntime: what became of each node, and how
// far the results are apart.

import { checkModel, graphsOf, type Model } from '../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import type { Calibration, Precision, QuantizeContext } from '../../src/passes/quantize/context.ts';
import { layerName } from '../../src/passes/quantize/context.ts';
import { type HalfOptions, quantizeHalf } from '../../src/passes/quantize/half.ts';
import { simulateHalf } from '../../src/passes/quantize/half-simulate.ts';
import { COMPARABLE, createRunner } from '../../src/runtime/runner.ts';
import { cast } from '../../src/tensor/cast.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { parseModel } from './parse.ts';
import { randomFeeds } from './rewriting.ts';

export const runHere = createRunner({ ...COMPARABLE, optimization: 'disabled', threads: 1 });

export interface Halving extends Partial<HalfOptions> {
  readonly feeds?: Feeds;
  readonly sizes?: Readonly<Record<string, number>>;
  readonly wanted?: QuantizeContext['wanted'];
  readonly calibration?: Calibration;
  /** Results that are smaller than this are compared as if they were so large. */
  readonly floor?: number;
  /** Kernels of the target. */
  readonly kernels?: (kernel: string) => boolean;
}

export interface Halved {
  readonly model: Model;
  /** Operators of all graphs, in order, each with the type of its first result. */
  readonly ops: string[];
  /** By layer: the precision, and why. */
  readonly decisions: ReadonlyMap<string, { precision: Precision; reason: string | undefined }>;
  /** |half - float| / |float| of the worst output, where all kernels are half. */
  readonly error: number;
  readonly results: Feeds;
}

export function contextFor(
  options: Halving,
  decide: QuantizeContext['decide'] = () => {},
): QuantizeContext {
  const has = options.kernels ?? (() => false);
  return {
    run: runHere,
    target: { name: 'cpu', isHere: true, exactProducts: true, has },
    seed: 0,
    calibration: options.calibration,
    wanted: options.wanted ?? (() => undefined),
    decide,
  };
}

type Planned = Pick<Halved, 'model' | 'ops' | 'decisions'>;

/** Takes a copy of the model to half, and throws where the result is broken; runs nothing. */
export async function planOnly(source: string | Model, options: Halving = {}): Promise<Planned> {
  const model = typeof source === 'string' ? parseModel(source) : source.clone();
  inferTypes(model);
  const decisions = new Map<string, { precision: Precision; reason: string | undefined }>();
  const context = contextFor(options, (node, precision, reason) => {
    decisions.set(layerName(node), { precision, reason });
  });
  const { type = 'fp16', keepIo = true } = options;
  await quantizeHalf(model, { ...options, type, keepIo }, context);
  const problems = [...checkModel(model), ...inferTypes(model)];
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const ops = [...graphsOf(model.graph)].flatMap((graph) =>
    [...graph.nodes].map((node) => `${node.op} ${node.output.dtype}`),
  );
  return { model, ops, decisions };
}

/** The same, and runs it; throws where it does not run. */
export async function halve(source: string | Model, options: Halving = {}): Promise<Halved> {
  const original = typeof source === 'string' ? parseModel(source) : source;
  inferTypes(original);
  const { model, ops, decisions } = await planOnly(original, options);
  const read = decodeModel(await encodeModel(model));
  const feeds = options.feeds ?? randomFeeds(original, options.sizes);
  const expected = await runHere(original, feeds);
  await runHere(read, feedsFor(read, feeds));
  const results = await runHere(simulateHalf(read), feedsFor(read, feeds));
  return { model, ops, decisions, error: distance(expected, results, options), results };
}

/** The feeds, in the types that the model takes. */
function feedsFor(model: Model, feeds: Feeds): Feeds {
  return new Map(
    model.graph.inputs.flatMap(({ name, dtype }) => {
      const fed = feeds.get(name);
      return fed && dtype ? [[name, cast(fed, dtype)] as const] : [];
    }),
  );
}

function distance(expected: Feeds, actual: Feeds, options: Halving): number {
  let worst = 0;
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (!other) throw new Error(`output "${name}" is missing`);
    if (tensor.dtype === 'string') continue;
    const [a, b] = [elementsOf(tensor), elementsOf(other)].map((all) => Array.from(all, Number));
    let [difference, size] = [0, (options.floor ?? 0) ** 2 * tensor.size];
    a?.forEach((x, i) => {
      const y = b?.[i] ?? Number.NaN;
      if (Object.is(x, y)) return;
      difference += (x - y) ** 2;
      size += x ** 2;
    });
    const relative = difference === 0 ? 0 : Math.sqrt(difference / size);
    worst = relative <= worst ? worst : relative;
  }
  return worst;
}
