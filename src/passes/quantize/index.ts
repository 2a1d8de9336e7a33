// The modes of quantisation: one entry point for settings, whatever they ask for.

import type { Model, Node } from '../../graph/index.ts';
import { constantData, inferTypes } from '../../ops/index.ts';
import type { Target } from '../../targets/target.ts';
import { quantizeBnb4 } from './bnb4.ts';
import type { Precision, QuantizeContext } from './context.ts';
import { quantizeDynamic } from './dynamic.ts';
import { quantizeHalf } from './half.ts';
import { improvementsNamed, improveQuantized } from './improve/index.ts';
import { toQOperators } from './qoperator.ts';
import type { Mode, Settings } from './settings.ts';
import { quantizeStatic, type StaticOptions } from './static.ts';
import { quantizeWeights } from './weights.ts';

type Quantize = (model: Model, settings: Settings, context: QuantizeContext) => Promise<void>;

const MODES: Readonly<Record<Exclude<Mode, 'mixed'>, Quantize>> = {
  dynamic: (model, settings, context) =>
    quantizeDynamic(
      model,
      {
        weights: settings.weights,
        perChannel: settings.perChannel,
        reduceRange: settings.reduceRange,
        format: 'auto',
      },
      context,
    ),
  static: async (model, settings, context) => {
    await quantizeStatic(model, staticOptions(settings, context.target), context);
    await quantizeTables(model, settings, context);
  },
  fp8: (model, settings, context) =>
    quantizeStatic(
      model,
      { ...staticOptions(settings, context.target), format: 'qdq', float8: 'float8e4m3fn' },
      context,
    ),
  weights: async (model, settings, context) => {
    const { bits, block, symmetric = true, format, algorithm } = settings;
    if (format === 'bnb4')
      return quantizeBnb4(model, { block: block === 'channel' ? 64 : block }, context);
    const width = bits === 16 ? 8 : bits;
    const form = format === 'qoperator' ? 'nbits' : format;
    await quantizeWeights(
      model,
      { bits: width, block, symmetric, format: form, algorithm },
      context,
    );
  },
  fp16: (model, settings, context) =>
    quantizeHalf(model, { type: 'fp16', keepIo: settings.keepIo }, context),
  bf16: (model, settings, context) =>
    quantizeHalf(model, { type: 'bf16', keepIo: settings.keepIo }, context),
};

/** A table of embeddings, or the product at the end of a language model that shares it. */
function readsTable(node: Node): boolean {
  if (node.op === 'Gather') return true;
  const turned = node.op === 'MatMul' ? node.inputs[1]?.producer : undefined;
  const table = turned?.op === 'Transpose' ? turned.inputs[0] : undefined;
  return table !== undefined && constantData(table) !== undefined;
}

/** Tables are picked from, not calculated with: they need no calibration. */
async function quantizeTables(
  model: Model,
  settings: Settings,
  context: QuantizeContext,
): Promise<void> {
  const { weights, perChannel, reduceRange } = settings;
  await quantizeDynamic(
    model,
    { weights, perChannel, reduceRange, format: 'auto' },
    {
      ...context,
      wanted: (node) => (readsTable(node) ? context.wanted(node) : 'float'),
      decide(node, precision, reason) {
        if (readsTable(node)) context.decide(node, precision, reason);
      },
    },
  );
}

function staticOptions(settings: Settings, target: Target): StaticOptions {
  return {
    activations: settings.activations,
    weights: settings.weights,
    perChannel: settings.perChannel,
    symmetricActivations: settings.symmetric ?? false,
    reduceRange:
      settings.reduceRange ?? !(target.exactProducts || settings.activations !== 'uint8'),
    format: settings.format === 'qoperator' ? 'qoperator' : 'qdq',
  };
}

/**
 * Quantises in place by the settings. `float` is the model as it was, for the improvements that
 * compare with it.
 */
export async function quantizeBy(
  model: Model,
  settings: Settings,
  context: QuantizeContext,
  float: Model,
): Promise<void> {
  const improvements = improvementsNamed(settings.improvements);
  // Weights and biases are mended where they stand behind DequantizeLinear.
  const isLate =
    settings.mode === 'static' &&
    settings.format === 'qoperator' &&
    improvements.some(({ stage }) => stage === 'quantized');
  const first: Settings = isLate ? { ...settings, format: 'qdq' } : settings;
  if (first.mode === 'mixed') await quantizeMixed(model, first, context);
  else await MODES[first.mode](model, first, context);
  await improveQuantized(model, float, improvements, settings, { ...context, note: () => {} });
  if (!isLate) return;
  toQOperators(model);
  inferTypes(model);
}

/** Layer by layer as wanted: each mode takes its own, one after the other. */
async function quantizeMixed(
  model: Model,
  settings: Settings,
  context: QuantizeContext,
): Promise<void> {
  const hasData = context.calibration !== undefined;
  const parts: readonly (readonly [Precision, Exclude<Mode, 'mixed'>])[] = [
    ['int4', 'weights'],
    ['int8', hasData ? 'static' : 'dynamic'],
    ['fp16', 'fp16'],
  ];
  for (const [precision, mode] of parts) {
    await MODES[mode](
      model,
      { ...settings, bits: mode === 'weights' ? 4 : 8 },
      only(precision, context),
    );
  }
}

/** A context in which nodes that want another precision stay as they are, without a word. */
function only(precision: Precision, context: QuantizeContext): QuantizeContext {
  const wanted = (node: Node) => context.wanted(node) ?? 'int8';
  return {
    ...context,
    wanted: (node) => (wanted(node) === precision ? precision : 'float'),
    decide(node, found, reason) {
      const isMine =
        wanted(node) === precision || (precision === 'int8' && wanted(node) === 'float');
      if (found !== 'float' || isMine) context.decide(node, found, reason);
    },
  };
}
