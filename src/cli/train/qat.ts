// Quantisation-aware training: the model is quantised first, as `quantize --mode static` would do it,
// with ranges observed on training data; what is trained is its fake-quantised twin, and what is
// written is the quantised model with what the twin has learned.

import { makeCalibration } from '../../calibrate/calibrator.ts';
import type { Dataset } from '../../data/dataset.ts';
import type { DataOptions } from '../../data/options.ts';
import { dataHasNoOrder } from '../../errors/train.ts';
import { usageProblem } from '../../errors/usage.ts';
import type { Model, Value } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import type { Calibration, QuantizeContext } from '../../passes/quantize/context.ts';
import { quantizeStatic } from '../../passes/quantize/static.ts';
import type { Pattern } from '../../passes/select.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { exactRunner } from '../../runtime/runner.ts';
import { resolveTarget } from '../../targets/target.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type FakeQuantized, fakeQuantize, quantizedWeights } from '../../train/fake-quantize.ts';
import { machineFacts } from '../machine.ts';
import { prepareFloat } from '../prepare-float.ts';
import { type Decision, requireQuantized } from '../quantize/quantizer.ts';
import { putWeights } from './weights.ts';

export type QatType = 'int8' | 'int4';

export interface Qat {
  readonly type: QatType;
  /** As it is written in the end, but for its weights and scales. */
  readonly quantized: Model;
  readonly fake: FakeQuantized;
  /** Share of the run after which scales stay as they are. */
  readonly freeze: number;
  readonly decisions: readonly Decision[];
}

export interface QatInput {
  readonly type: QatType;
  readonly path: string;
  readonly original: Model;
  readonly data: Dataset;
  /** What the user calls the data, and how it is read. */
  readonly source: DataOptions & { readonly data: string };
  readonly batch: number;
  /** Samples that observers see. */
  readonly samples: number;
  readonly freeze: number;
  readonly skip: readonly Pattern[];
  readonly seed: number;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
}

/** Quantises the model and makes its trainable twin; throws where nothing can be quantised. */
export async function prepareQat(input: QatInput): Promise<Qat> {
  const { type, original, data, session, skip, reporter } = input;
  if (!data.take || data.length === undefined) throw dataHasNoOrder(data.summary);
  const run = exactRunner(session);
  const quantized = await prepareFloat(original, run, input.source, reporter);
  const decisions: Decision[] = [];
  const floats = new Map<string, Tensor>();
  const target = resolveTarget('auto', machineFacts(session.provider));
  const context: QuantizeContext = {
    run,
    target,
    seed: input.seed,
    calibration: observers(input, quantized),
    wanted: (node) => (skip.some((pattern) => pattern.matches(node)) ? 'float' : undefined),
    decide: (node, precision, reason) =>
      void decisions.push({ layer: node.name, op: node.op, precision, reason }),
    stored: (dequantized: Value, float) => {
      const codes = dequantized.producer?.inputs[0];
      if (codes) floats.set(codes.name, float);
    },
  };
  await quantizeStatic(
    quantized,
    {
      activations: 'uint8',
      weights: type,
      perChannel: true,
      symmetricActivations: false,
      reduceRange: type === 'int8' && !target.exactProducts,
      format: 'qdq',
    },
    context,
  );
  inferTypes(quantized);
  decisions.push(...tables(quantized));
  requireQuantized(input.path, { model: quantized, decisions });
  return {
    type,
    quantized,
    fake: fakeQuantize(quantized, floats),
    freeze: input.freeze,
    decisions,
  };
}

/** Embeddings learn row by row, and are not rounded. */
function tables(model: Model): Decision[] {
  const found = [...model.graph.nodes].filter(({ op, inputs: [table] }) => {
    return op === 'Gather' && table?.data?.dtype === 'float32' && table.data.shape.length > 1;
  });
  const reason = 'tables are trained as floats';
  return found.map(({ name, op }) => ({ layer: name, op, precision: 'float', reason }));
}

/** Ranges of activations on samples from all over the training data. */
function observers(input: QatInput, model: Model): Calibration {
  const { data, session, reporter, source } = input;
  const groups = observed(input, model);
  const step = reporter.step('observing', groups.length);
  async function* batches(): AsyncIterable<Feeds> {
    for (const indices of groups) {
      const taken = await data.take?.(indices);
      if (taken) yield taken.feeds;
    }
    step.done();
  }
  return makeCalibration({
    data: source.data,
    batches,
    session: { ...session, optimization: 'basic' },
    method: 'minmax',
    percentile: 100,
    bits: 8,
    onBatch: () => step.advance(),
  });
}

/** Samples at even distances, in batches; one of fixed size is filled up. */
function observed({ data, batch, samples }: QatInput, model: Model): number[][] {
  const { length = 0 } = data;
  const count = Math.min(samples, length);
  const fixed = model.graph.inputs.find((value) => !value.data)?.shape?.[0];
  const isFixed = typeof fixed === 'number';
  const size = isFixed ? fixed : batch;
  return Array.from({ length: Math.ceil(count / size) }, (_, group) => {
    const first = group * size;
    const width = isFixed ? size : Math.min(size, count - first);
    return Array.from({ length: width }, (_, i) =>
      Math.floor(((first + i) % count) * (length / count)),
    );
  });
}

/** The model to write: the original, or the quantised one, with what was trained. */
export function trainedModel(
  original: Model,
  qat: Qat | undefined,
  weights: ReadonlyMap<string, Tensor>,
): Model {
  if (!qat) return putWeights(original, weights);
  return putWeights(qat.quantized, quantizedWeights(qat.fake, weights));
}

/** Products in half precision would not be those of the model that is written. */
export function checkQatFlags(flags: { qat?: string | undefined; precision: string }): void {
  if (flags.qat === undefined || flags.precision === 'fp32') return;
  throw usageProblem(
    `--qat and --precision ${flags.precision} exclude each other: both say how products are rounded`,
    'Leave one out.',
  );
}
