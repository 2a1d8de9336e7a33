// Makes a quantised model out of a prepared float one, for a choice of layers; searches call it over
// and over. It knows the settings, the patterns and the calibration, and collects what was decided.

import { nothingQuantized } from '../../errors/model.ts';
import type { Model, Node } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import type { Runner } from '../../passes/pass.ts';
import {
  type Calibration,
  layerName,
  type Precision,
  type QuantizeContext,
} from '../../passes/quantize/context.ts';
import { improveFloat, improvementsNamed } from '../../passes/quantize/improve/index.ts';
import { quantizeBy } from '../../passes/quantize/index.ts';
import type { Settings } from '../../passes/quantize/settings.ts';
import type { Pattern } from '../../passes/select.ts';
import type { Target } from '../../targets/target.ts';

export type Layers = ReadonlyMap<string, Precision>;

/** What became of one layer. */
export interface Decision {
  readonly layer: string;
  readonly op: string;
  readonly precision: Precision;
  readonly reason?: string | undefined;
}

export interface Quantized {
  readonly model: Model;
  readonly decisions: readonly Decision[];
}

export interface QuantizerInput {
  /** Optimised, and improved in float. */
  readonly float: Model;
  readonly settings: Settings;
  readonly skip: readonly Pattern[];
  /** Empty: all. */
  readonly only: readonly Pattern[];
  readonly run: Runner;
  readonly target: Target;
  readonly seed: number;
  readonly calibration: Calibration | undefined;
}

export type Quantizer = (layers: Layers) => Promise<Quantized>;

export async function makeQuantizer(input: QuantizerInput): Promise<Quantizer> {
  const float = await improved(input);
  return async (layers) => {
    const model = float.clone();
    const decisions = new Map<string, Decision>();
    await quantizeBy(model, input.settings, contextOf(input, layers, decisions), float);
    inferTypes(model);
    return { model, decisions: [...decisions.values()] };
  };
}

function contextOf(
  input: QuantizerInput,
  layers: Layers,
  decisions: Map<string, Decision>,
): QuantizeContext {
  return {
    run: input.run,
    target: input.target,
    seed: input.seed,
    calibration: input.calibration,
    wanted: (node) => wanted(node, input, layers),
    decide(node, precision, reason) {
      const layer = layerName(node);
      const why = precision === 'float' ? (userReason(node, input) ?? reason) : reason;
      decisions.set(layer, { layer, op: node.op, precision, reason: why });
    },
  };
}

/** A copy of the float model with the improvements that come before quantisation. */
async function improved(input: QuantizerInput): Promise<Model> {
  const chosen = improvementsNamed(input.settings.improvements);
  if (!chosen.some(({ stage }) => stage === 'float')) return input.float;
  const model = input.float.clone();
  const context = { ...contextOf(input, new Map(), new Map()), note: () => {} };
  // Rounding to nearest tells as much as slower algorithms whether outputs come closer.
  const settings: Settings = { ...input.settings, improvements: [], algorithm: 'rtn' };
  await improveFloat(model, chosen, input.settings, context, async (float) => {
    const trial = float.clone();
    await quantizeBy(trial, settings, contextOf(input, new Map(), new Map()), float);
    inferTypes(trial);
    return trial;
  });
  return model;
}

function wanted(node: Node, input: QuantizerInput, layers: Layers): Precision | undefined {
  return userReason(node, input) ? 'float' : layers.get(layerName(node));
}

function userReason(node: Node, { skip, only }: QuantizerInput): string | undefined {
  const skipped = skip.find((pattern) => pattern.matches(node));
  if (skipped) return `--skip ${skipped.text}`;
  const isLeftOut = only.length > 0 && !only.some((pattern) => pattern.matches(node));
  return isLeftOut ? 'not in --only' : undefined;
}

/** Layers that are quantised now, in their order. */
export function quantizedLayers({ decisions }: Quantized): string[] {
  return decisions.filter(({ precision }) => precision !== 'float').map(({ layer }) => layer);
}

/** Throws where nothing was quantised, with the reasons per operator. */
export function requireQuantized(path: string, { decisions }: Quantized): void {
  if (decisions.some(({ precision }) => precision !== 'float')) return;
  const reasons = new Map<string, { reason: string; count: number }>();
  for (const { op, reason = 'no reason was given' } of decisions) {
    const key = `${op}: ${reason}`;
    reasons.set(key, { reason: key, count: (reasons.get(key)?.count ?? 0) + 1 });
  }
  const lines = [...reasons.values()].sort((a, b) => b.count - a.count);
  throw nothingQuantized(
    path,
    lines.map(({ reason, count }) => `${count} × ${reason}`),
  );
}
