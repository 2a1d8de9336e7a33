// The work of `quantize` between reading and writing: improve, quantise, choose layers, measure.
// Nothing is claimed that was not measured, and what could not be measured is said.

import type { XformError } from '../../errors/error.ts';
import { cannotMeasureLimit } from '../../errors/limit.ts';
import { resultDoesNotRun } from '../../errors/model.ts';
import type { Model } from '../../graph/index.ts';
import type { Runner } from '../../passes/pass.ts';
import type { Calibration } from '../../passes/quantize/context.ts';
import { simulateHalf } from '../../passes/quantize/half-simulate.ts';
import type { Sensitivity } from '../../passes/quantize/search.ts';
import type { Settings } from '../../passes/quantize/settings.ts';
import type { Pattern } from '../../passes/select.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { Contest } from '../../runtime/contest.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { isWebTarget } from '../../runtime/web/target.ts';
import type { Target } from '../../targets/target.ts';
import type { Judge, Quality } from '../judge.ts';
import type { Limit } from '../limits.ts';
import type { Trials } from '../trials.ts';
import { keepFaster, timeAgainst } from './keep-faster.ts';
import { mixToLimit } from './mixed-limit.ts';
import { adviceFor } from './notes.ts';
import {
  type Layers,
  makeQuantizer,
  type Quantized,
  type Quantizer,
  requireQuantized,
} from './quantizer.ts';
import { limitDrop, scan, type Tuned } from './tune.ts';
import { tryOnTarget, type WebTrial } from './web-trial.ts';

export interface QuantizeInput {
  /** As it was read: the reference for everything. */
  readonly original: Model;
  /** Optimised; the same function. */
  readonly float: Model;
  readonly path: string;
  readonly settings: Settings;
  /** Choices of a recipe. */
  readonly layers: Layers;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
  readonly maxDrop?: number | undefined;
  /** Of mode mixed. */
  readonly limit?: Limit | undefined;
  readonly scan: boolean;
  /** Whether to time the result, and whether to leave float what came out slower. */
  readonly bench: boolean;
  readonly keepFaster: boolean;
  readonly run: Runner;
  readonly target: Target;
  readonly session: SessionOptions;
  readonly seed: number;
  readonly calibration: Calibration | undefined;
  /** Undefined, with the reason, where the original cannot be run. */
  readonly trials: Trials | string;
  readonly reporter: Reporter;
}

export interface QuantizeResult {
  /** Choices that differ from what the mode makes by itself, for a recipe. */
  readonly layers: Layers;
  readonly quantized: Quantized;
  readonly judge?: Judge | undefined;
  readonly quality?: Quality | undefined;
  readonly speed?: Contest | undefined;
  /** On a target that is a browser. */
  readonly web?: WebTrial | undefined;
  readonly sensitivity: readonly Sensitivity[];
  readonly unmet?: XformError | undefined;
}

export async function quantizeModel(input: QuantizeInput): Promise<QuantizeResult> {
  for (const warning of adviceFor(input.settings, input.target)) input.reporter.warn(warning);
  const quantizer = await makeQuantizer(input);
  const step = input.reporter.step('quantizing');
  const all = await quantizer(input.layers);
  step.done();
  requireQuantized(input.path, all);
  const { trials } = input;
  if (typeof trials !== 'string') return measured(input, trials, quantizer, all);
  // A limit that cannot be measured must not pass for one that is kept.
  if (input.maxDrop !== undefined || input.limit) throw cannotMeasureLimit(trials);
  input.reporter.warn({ code: 'not-measured', message: `the result was not run: ${trials}` });
  return { layers: input.layers, quantized: all, sensitivity: [] };
}

async function measured(
  input: QuantizeInput,
  trials: Trials,
  quantizer: Quantizer,
  all: Quantized,
): Promise<QuantizeResult> {
  const judge = judgeFor(input, trials.judge);
  await requireRuns(isForeign(input) ? judge : trials.judge, all);
  const tuned = await tune(input, { ...trials, judge }, quantizer, all);
  const { reporter } = input;
  let { layers, quantized } = tuned;
  let speed: Contest | undefined;
  if (input.bench && input.target.isHere) {
    if (input.keepFaster) {
      const faster = await keepFaster(trials.speed, quantizer, layers, quantized);
      for (const layer of faster.returned) {
        const message = 'stays float: its integer kernel is slower than the float one';
        reporter.warn({ code: 'slower-layer', message, where: layer });
      }
      ({ layers, quantized, speed } = faster);
      if (faster.isSlower) quantized = leftFloat(input, quantized, speed);
    } else speed = await timeAgainst(trials.speed, quantized);
    if (!input.keepFaster) warnIfSlower(reporter, speed);
  }
  const quality = await judge.judge(quantized.model);
  const web = await webTrial(input, trials, quantized);
  return { ...tuned, layers, quantized, judge, quality, speed, ...(web ? { web } : {}) };
}

async function webTrial(
  { bench, target, reporter }: QuantizeInput,
  trials: Trials,
  { model }: Quantized,
): Promise<WebTrial | undefined> {
  if (!bench || !isWebTarget(target.name)) return undefined;
  const found = await tryOnTarget(target.name, trials.speed, model);
  if ('runtime' in found) return found;
  reporter.warn(found);
  return undefined;
}

/** The whole model lost time: it is handed back as it was, and the report says so. */
function leftFloat(input: QuantizeInput, quantized: Quantized, speed: Contest): Quantized {
  const { reference, contender } = speed;
  const message =
    `the model was left float: quantised it takes ${contender.p50.toPrecision(3)} ms a run here, ` +
    `and ${reference.p50.toPrecision(3)} ms as it was; --no-keep-faster writes it all the same`;
  input.reporter.warn({ code: 'left-float', message });
  const reason = 'the whole model is slower with it';
  const decisions = quantized.decisions.map((one) => ({
    ...one,
    precision: 'float' as const,
    reason: one.precision === 'float' ? one.reason : reason,
  }));
  return { model: input.float.clone(), decisions };
}

/**
 * onnxruntime's processors compute float16 in float32 and drop the Casts between: what comes out says
 * nothing about half precision. A twin that rounds every result does.
 */
function judgeFor(input: QuantizeInput, judge: Judge): Judge {
  if (input.settings.mode !== 'fp16' && !isForeign(input)) return judge;
  return { ...judge, judge: (model) => judge.judge(simulateHalf(model)) };
}

/** A graph of bfloat16 kernels runs only where they are. */
function isForeign({ settings, target }: QuantizeInput): boolean {
  return settings.mode === 'bf16' && !target.isHere && target.has('MatMul:bf16');
}

async function requireRuns(judge: Judge, { model }: Quantized): Promise<void> {
  try {
    await judge.judge(model);
  } catch (error) {
    throw resultDoesNotRun(error instanceof Error ? error.message : String(error));
  }
}

function warnIfSlower(reporter: Reporter, { comparison, reference, contender }: Contest): void {
  if (comparison.verdict !== 'slower') return;
  const [before, after] = [reference.p50, contender.p50].map((ms) => `${ms.toPrecision(3)} ms`);
  const message = `the result takes ${after} a run, the original ${before}: quantisation does not pay for speed here`;
  reporter.warn({ code: 'slower-than-float', message });
}

async function tune(
  input: QuantizeInput,
  trials: Trials,
  quantizer: Quantizer,
  all: Quantized,
): Promise<Tuned> {
  const { layers, reporter, maxDrop } = input;
  const context = { quantizer, judge: trials.judge, reporter, layers };
  if (input.settings.mode === 'mixed') return mixToLimit(context, input, trials, all);
  const sensitivity = input.scan ? await scan(context, all) : undefined;
  if (maxDrop !== undefined) return limitDrop(context, all, maxDrop, sensitivity);
  return { layers, quantized: all, sensitivity: sensitivity ?? [], trials: 1 };
}
